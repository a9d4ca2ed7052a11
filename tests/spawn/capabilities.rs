//! What privilege a child of another user keeps: none that it was not given.

use crate::common;

use actix_process::{Capability, Command, NoProtocol, SpawnStep};
use common::isolated::isolated;
use common::report::{may_change_ids, status, told};
use common::run;
use nix::libc;

const NOBODY: u32 = 65534;
const SETS: [&str; 4] = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];

/// Makes this thread one of a service that is not root, with these capabilities, ambient ones too.
fn become_service(capabilities: &[Capability]) {
    let all = capabilities
        .iter()
        .fold(0_u32, |set, c| set | 1 << c.number());
    let raw = [0x2008_0522, 0, all, all, all, 0, 0, 0_u32];
    // SAFETY: integers, and the header and the six words that capset reads.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_KEEPCAPS, 1), 0);
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(1000, 1000, 1000), 0);
        assert_eq!(libc::setresuid(1000, 1000, 1000), 0);
        let data = raw.as_ptr().wrapping_add(2);
        assert_eq!(libc::syscall(libc::SYS_capset, raw.as_ptr(), data), 0);
        for capability in capabilities {
            let (raise, number) = (libc::PR_CAP_AMBIENT_RAISE, capability.number());
            let raised = libc::prctl(
                libc::PR_CAP_AMBIENT,
                raise,
                libc::c_ulong::from(number),
                0,
                0,
            );
            assert_eq!(raised, 0, "{capability}");
        }
    }
}

fn as_nobody() -> Command {
    status().uid(NOBODY).gid(NOBODY).current_dir("/")
}

async fn assert_sets(child: Command, sets: [u64; 4]) {
    for (key, set) in SETS.iter().zip(sets) {
        assert_eq!(
            told(child.clone(), key).await,
            format!("{set:016x}"),
            "{key}"
        );
    }
}

#[test]
fn a_change_of_uid_takes_all_capabilities_from_a_service_that_is_not_root() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        become_service(&[Capability::SETUID, Capability::SETGID]);
        run(async {
            assert_sets(as_nobody(), [0; 4]).await;
            // Whose uid stays keeps them, as after any exec.
            let both = 1 << 6 | 1 << 7;
            assert_sets(status(), [both; 4]).await;
            assert_sets(status().uid(1000).gid(1000), [both; 4]).await;
        });
    });
}

#[test]
fn a_change_of_uid_takes_roots_inheritable_capabilities() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        let bit = 1_u32 << Capability::NET_RAW.number();
        let mut raw = [0x2008_0522, 0, 0, 0, 0, 0, 0, 0_u32];
        let data = raw.as_mut_ptr().wrapping_add(2);
        // SAFETY: the header and the six words of capget and capset.
        unsafe {
            assert_eq!(libc::syscall(libc::SYS_capget, raw.as_ptr(), data), 0);
            raw[4] |= bit;
            assert_eq!(libc::syscall(libc::SYS_capset, raw.as_ptr(), data), 0);
        }
        run(assert_sets(as_nobody(), [0; 4]));
    });
}

#[test]
fn a_command_keeps_the_capabilities_that_it_names() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            let bind = 1 << 10;
            let child = as_nobody().ambient([Capability::NET_BIND_SERVICE]);
            assert_sets(child.clone(), [bind; 4]).await;
            assert_eq!(told(child, "Uid:").await, "65534 65534 65534 65534");
            let two = [Capability::NET_BIND_SERVICE, Capability::KILL];
            assert_sets(as_nobody().ambient(two), [bind | 1 << 5; 4]).await;
        });
        run(async {
            std::thread::spawn(|| ()).join().unwrap();
            let child = status().ambient([Capability::NET_BIND_SERVICE]);
            assert_eq!(told(child, "CapAmb:").await, format!("{:016x}", 1 << 10));
        });
    });
}

#[test]
fn a_service_hands_on_what_it_names_only() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        let bind = Capability::NET_BIND_SERVICE;
        become_service(&[Capability::SETUID, Capability::SETGID, bind]);
        run(async {
            assert_sets(as_nobody().ambient([bind]), [1 << 10; 4]).await;
            let lacking = as_nobody().ambient([bind, Capability::SYS_ADMIN]);
            let error = lacking.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Identity, "{error}");
            assert_eq!(error.subject(), "ambient CAP_SYS_ADMIN");
        });
    });
}

#[test]
fn every_capability_has_its_number() {
    for number in 0..64 {
        let capability = Capability::new(number).unwrap();
        assert_eq!(capability.number(), number);
        assert_eq!(capability.name().is_some(), number <= 40, "{capability}");
    }
    assert_eq!(Capability::new(64), None);
    assert_eq!(
        Capability::CHECKPOINT_RESTORE.to_string(),
        "CAP_CHECKPOINT_RESTORE"
    );
}

/// The child's program is executed once in any case. It must not be twice: the first exec, without
/// no_new_privs yet, would give root's capabilities back.
#[test]
fn a_child_gets_no_capability_back_that_the_host_gave_up() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        let set = Capability::SETUID.number();
        let set = [
            set,
            Capability::SETGID.number(),
            Capability::SETPCAP.number(),
        ];
        let set = set.iter().fold(0_u32, |set, number| set | 1 << number);
        let raw = [0x2008_0522, 0, set, set, 0, 0, 0, 0_u32];
        let data = raw.as_ptr().wrapping_add(2);
        // SAFETY: the header and the six words that capset reads.
        let changed = unsafe { libc::syscall(libc::SYS_capset, raw.as_ptr(), data) };
        assert_eq!(changed, 0);
        run(async {
            let set = u64::from(set);
            let child = status().current_dir("/").no_new_privs(true);
            for child in [child.clone(), child.gid(5)] {
                assert_sets(child, [0, set, set, 0]).await;
            }
        });
    });
}
