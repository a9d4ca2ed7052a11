//! What the helper writes: bytes that a test can tell the places of.

use std::fs::File;
use std::io::Write;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The `n` first bytes of a stream in which no two places look alike for long.
pub fn pattern(n: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}

/// The bytes of the numbers from 0 on, eight each: those from `begin` to `end`, multiples of eight.
pub fn counted(begin: usize, end: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(end - begin);
    for word in begin / 8..end / 8 {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The packet of this number: 1 to 4096 bytes.
pub fn packet(number: usize) -> Vec<u8> {
    let length = match number % 4 {
        0 => 4096,
        1 => 1,
        _ => 1 + number * 1021 % 4096,
    };
    let mut bytes = format!("[{number}]").into_bytes();
    bytes.resize(length.max(bytes.len()), b'a' + (number % 26) as u8);
    bytes
}

/// A digest of bytes, given that of all words of eight bytes before them; 0 before the first.
pub fn digest(before: u64, bytes: &[u8]) -> u64 {
    let mut digest = before;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        let mixed = digest.rotate_left(5) ^ u64::from_le_bytes(padded);
        digest = mixed.wrapping_mul(0x517C_C1B7_2722_0A95);
    }
    digest
}

/// Writes packets, by a pipe in packet mode from now on.
pub fn write_packets(mut pipe: &File, first: i32, n: i32) {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_DIRECT)).unwrap();
    for packet in (first..first + n).map(|number| packet(number as usize)) {
        if pipe.write(&packet).ok() != Some(packet.len()) {
            break;
        }
    }
}
