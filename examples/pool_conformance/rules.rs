//! Rules of docs/wire.md for any worker, each tried at a worker that waits for a job.

use crate::talk::*;

pub(crate) async fn chunks_in_order(talk: &mut Talk) -> Outcome {
    talk.job(b"chunks 500").await?;
    let (chunks, kind, last) = talk.answer().await?;
    let expected = (1..=500).map(|number| number.to_string().into_bytes());
    match kind == END && last.is_empty() && chunks.iter().cloned().eq(expected) {
        true => Ok(()),
        false => Err(format!(
            "{} chunks came, and {}",
            chunks.len(),
            shown(&(kind, talk.id, last))
        )),
    }
}

pub(crate) async fn an_error(talk: &mut Talk) -> Outcome {
    talk.job("error no such thing: ä".as_bytes()).await?;
    let text = "no such thing: ä".as_bytes();
    talk.expect(ERROR, talk.id, text).await?;
    talk.echo(b"after an error").await
}

pub(crate) async fn a_cancel(talk: &mut Talk) -> Outcome {
    for _ in 0..5 {
        talk.slow().await?;
        talk.cancel().await?;
        talk.echo(b"after a cancel").await?;
    }
    Ok(())
}

pub(crate) async fn a_late_cancel(talk: &mut Talk) -> Outcome {
    talk.echo(b"answered").await?;
    talk.send(CANCEL, talk.id, b"").await?;
    talk.echo(b"after a late cancel").await?;
    talk.slow().await?;
    // Of a job that was answered, while another one is done.
    talk.send(CANCEL, talk.id - 1, b"").await?;
    for _ in 0..3 {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id => {}
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    talk.cancel().await?;
    talk.echo(b"after both").await
}

pub(crate) async fn a_ping_between(talk: &mut Talk) -> Outcome {
    for (id, body) in [(0, &b""[..]), (u64::MAX, b"are you there?")] {
        talk.send(PING, id, body).await?;
        talk.expect(PONG, id, body).await?;
    }
    talk.echo(b"after a ping").await
}

pub(crate) async fn a_ping_during(talk: &mut Talk) -> Outcome {
    talk.slow().await?;
    talk.send(PING, 5, b"busy?").await?;
    loop {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id => {}
            (PONG, 5, body) if body == b"busy?" => break,
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    // Both in one write.
    let both = [frame(PING, 6, b""), frame(CANCEL, talk.id, b"")].concat();
    talk.write(both).await?;
    let (mut pongs, mut ends) = (0, 0);
    while pongs + ends < 2 {
        match talk.frame().await? {
            (CHUNK, id, _) if id == talk.id && ends == 0 => {}
            (PONG, 6, _) => pongs += 1,
            (END | ERROR, id, _) if id == talk.id && ends == 0 => ends += 1,
            other => return Err(format!("came {}", shown(&other))),
        }
    }
    talk.echo(b"after both").await
}

pub(crate) async fn prints(talk: &mut Talk) -> Outcome {
    talk.job(b"print").await?;
    talk.expect(END, talk.id, b"printed").await?;
    talk.echo(b"after prints").await
}

pub(crate) async fn the_end(talk: &mut Talk) -> Outcome {
    talk.close();
    if let Some(frame) = talk.next().await? {
        return Err(format!("after 3 was closed came {}", shown(&frame)));
    }
    match talk.exit().await? {
        status if status.code() == Some(0) => Ok(()),
        status => Err(status.to_string()),
    }
}

pub(crate) async fn the_end_during_a_job(talk: &mut Talk) -> Outcome {
    talk.slow().await?;
    talk.close();
    // Chunks, and whatever the worker makes of the job.
    while talk.next().await?.is_some() {}
    talk.exit().await.map(drop)
}

/// The status after what no pool sends, and the end of 3.
pub(crate) async fn told_wrong(talk: &mut Talk, bytes: Vec<u8>) -> Outcome {
    // It may have exited by now.
    let _ = talk.write(bytes).await;
    talk.close();
    match talk.exit().await? {
        status if status.code() == Some(0) => Err(status.to_string()),
        _ => Ok(()),
    }
}
