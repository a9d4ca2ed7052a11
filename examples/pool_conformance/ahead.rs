//! The rules of docs/wire.md, "Jobs ahead", for workers that say version 2.

use crate::talk::*;

/// Each as one packet: a small one, and the longest.
pub(crate) async fn packets(talk: &mut Talk) -> Outcome {
    for size in [HEAD + 6, 1024, MAX_PACKET] {
        let count = size - HEAD - b"echo ".len();
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(count).collect();
        talk.id += 1;
        let job = [b"echo ", &body[..]].concat();
        talk.send_packet(JOB, talk.id, &job).await?;
        talk.echoed(&body).await.map_err(|saw| {
            format!("{saw}; a job of {size} bytes came as one packet, and a read of 3 with less room than {MAX_PACKET} bytes loses what does not fit")
        })?;
    }
    Ok(())
}

/// Behind a short job, and behind one with many chunks; as packets, and as the pool puts back what it does not take: all by one write.
pub(crate) async fn in_order(talk: &mut Talk) -> Outcome {
    for (first, as_packets) in [
        (&b"echo ahead"[..], true),
        (b"echo ahead", false),
        (b"chunks 500", true),
        (b"chunks 500", false),
    ] {
        let mut runs = talk.id + 1;
        talk.id += 8;
        let job = |id| {
            if id == runs {
                first
            } else {
                &b"echo ahead"[..]
            }
        };
        let jobs: Vec<_> = (runs..=talk.id).map(|id| (id, job(id))).collect();
        if as_packets {
            for (id, job) in jobs {
                talk.send_packet(JOB, id, job).await?;
            }
        } else {
            let frames: Vec<_> = jobs.iter().map(|(id, job)| frame(JOB, *id, job)).collect();
            talk.write(frames.concat()).await?;
        }
        let mut left: Vec<u64> = (runs + 1..=talk.id).collect();
        loop {
            match talk.frame().await? {
                (CHUNK | PROGRESS, id, _) if id == runs => {}
                (END, id, _) if id == runs && left.is_empty() => break,
                (END, id, _) if id == runs => runs = left.remove(0),
                (BACK, id, body) if left.contains(&id) && body.is_empty() => {
                    left.retain(|left| *left != id);
                }
                other => return Err(format!("in job {runs} came {}", shown(&other))),
            }
        }
    }
    Ok(())
}

/// Behind a job that takes long: what is not in the pipe any more then comes back before that one's end.
pub(crate) async fn given_back(talk: &mut Talk) -> Outcome {
    for _ in 0..5 {
        talk.slow().await?;
        let (slow, ahead) = (talk.id, talk.id + 1);
        talk.send_packet(JOB, ahead, b"echo ahead").await?;
        let mut is_back = false;
        let mut chunks = 0;
        while chunks < 3 {
            match talk.frame().await? {
                (CHUNK, id, _) if id == slow => chunks += 1,
                (PROGRESS, id, _) if id == slow => {}
                (BACK, id, body) if id == ahead && body.is_empty() && !is_back => is_back = true,
                other => return Err(format!("in job {slow} came {}", shown(&other))),
            }
        }
        let is_taken = talk.taker()?.take()?;
        talk.send_packet(CANCEL, slow, b"").await?;
        loop {
            match talk.frame().await? {
                (CHUNK | PROGRESS, id, _) if id == slow => {}
                (BACK, id, body) if id == ahead && body.is_empty() && !is_back && !is_taken => {
                    is_back = true;
                }
                (END | ERROR, id, _) if id == slow => break,
                other => return Err(format!("in job {slow} came {}", shown(&other))),
            }
        }
        if !is_back && !is_taken {
            return Err(format!(
                "job {ahead} was read while job {slow} was done, whose end came before a back"
            ));
        }
        talk.id = ahead;
    }
    Ok(())
}

/// As soon as it is the first that is not answered, if it was not given back.
pub(crate) async fn cancelled(talk: &mut Talk) -> Outcome {
    for _ in 0..5 {
        talk.id += 2;
        talk.send_packet(JOB, talk.id - 1, b"echo before").await?;
        talk.send_packet(JOB, talk.id, b"slow").await?;
        let mut is_back = false;
        loop {
            match talk.frame().await? {
                (CHUNK, id, _) if id == talk.id - 1 => {}
                (BACK, id, body) if id == talk.id && body.is_empty() && !is_back => is_back = true,
                (END, id, _) if id == talk.id - 1 => break,
                other => return Err(format!("came {}", shown(&other))),
            }
        }
        talk.send_packet(CANCEL, talk.id, b"").await?;
        if !is_back {
            talk.answer().await?;
        }
    }
    Ok(())
}
