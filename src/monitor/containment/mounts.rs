//! Where this process's own cgroup of version 2 is, by the texts of /proc.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The cgroup of version 2 in the text of `/proc/self/cgroup`.
pub(super) fn own_cgroup(text: &[u8]) -> Option<&Path> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let path = lines.find_map(|line| line.strip_prefix(b"0::"))?;
    Some(Path::new(OsStr::from_bytes(path)))
}

/// Whether the text of `/proc/self/cgroup` names a hierarchy of version 1 that has this controller.
pub(super) fn is_in_version_1(text: &[u8], controller: &str) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (Some(number), Some(controllers)) = (fields.next(), fields.next()) else {
            return false;
        };
        let mut names = controllers.split(|byte| *byte == b',');
        number != b"0" && names.any(|name| name == controller.as_bytes())
    })
}

/// The directories that the cgroup `own` may be, by the text of `/proc/self/mountinfo`: one for each mount that shows it.
pub(super) fn directories(mountinfo: &[u8], own: &Path) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            // The optional fields before the dash are of any number.
            let dash = fields.iter().position(|field| *field == b"-")?;
            if *fields.get(dash + 1)? != b"cgroup2" {
                return None;
            }
            let (root, mount) = (unescaped(fields.get(3)?), unescaped(fields.get(4)?));
            let below = own.strip_prefix(&root).ok()?;
            // Above what this process's cgroup namespace shows.
            let climbs = |path: &Path| path.components().any(|part| part == Component::ParentDir);
            (!climbs(&root) && !climbs(below)).then(|| mount.join(below))
        })
        .collect()
}

/// A field of mountinfo: blanks, tabs, newlines and backslashes are octal numbers there.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_among_hierarchies_of_version_1() {
        let hybrid =
            b"4:memory:/a\n2:cpu,cpuacct:/b:c\n1:name=systemd:/0::/d\n0::/odd: n\xffme/x\n";
        let own = own_cgroup(hybrid).unwrap();
        assert_eq!(own.as_os_str().as_bytes(), b"/odd: n\xffme/x");
        assert_eq!(own_cgroup(b"4:memory:/a\n"), None);
        assert_eq!(own_cgroup(b""), None);
        for (controller, there) in [("memory", true), ("cpu", true), ("pids", false)] {
            assert_eq!(is_in_version_1(hybrid, controller), there, "{controller}");
        }
        assert!(!is_in_version_1(b"0::/memory\n", "memory"));
        assert!(!is_in_version_1(b"0:memory:/\n:\n", "memory"));
    }

    #[test]
    fn mounts_with_odd_names_and_of_parts_of_the_hierarchy_are_understood() {
        let text = b"24 1 8:1 / / rw - ext4 /dev/root rw\n\
            25 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw\n\
            31 24 0:26 /a /my\\040cg\\134x\\011\xff ro - cgroup2 none rw\n\
            32 24 0:26 /../up /elsewhere rw - cgroup2 none rw\n\
            33 24 0:26 /a/bc /half rw - cgroup2 none rw\n\n- -\n34 24 - cgroup2\n";
        let of = |own: &str| directories(text, Path::new(own));
        let mut odd = b"/my cg\\x\t\xff/b".to_vec();
        let odd_path = PathBuf::from(OsString::from_vec(odd.clone()));
        assert_eq!(of("/a/b"), [Path::new("/sys/fs/cgroup/a/b"), &odd_path]);
        odd.truncate(odd.len() - 2);
        let odd_path = PathBuf::from(OsString::from_vec(odd));
        assert_eq!(of("/a"), [Path::new("/sys/fs/cgroup/a"), &odd_path]);
        assert_eq!(of("/"), [Path::new("/sys/fs/cgroup/")]);
        assert_eq!(of("/../up"), [] as [&Path; 0]);
        assert_eq!(unescaped(b"\\04\\400\\"), Path::new("\\04\\400\\"));
    }
}
