//! Executable files, which another process writes.

/// Writes an executable file by another process. A descriptor of ours that is open for writing
/// could be in a child that is just being spawned, and the file be "busy" for a moment.
pub fn write_executable(path: &std::path::Path, content: &str) {
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            content,
        ])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

/// Copies this program to `path`, by another process for the same reason.
pub fn copy_of_this_program(path: &std::path::Path) {
    let status = std::process::Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}
