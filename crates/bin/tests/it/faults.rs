//! A disk without room, a flush that fails and a clock that leaps, for the program alone (`fault.c`).
//!
//! The shim is compiled when a test first needs it, by the C compiler that building the program needs too.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCE: &str = include_str!("fault.c");

/// Where in the orders each number stands, in numbers of eight bytes.
const ROOM: u64 = 0;
const BAD_FLUSHES: u64 = 1;
const LEAP: u64 = 2;
const REFUSED: u64 = 3;
const LOST: u64 = 4;

/// What goes wrong for the program, and how often it did.
pub(crate) struct Faults {
    orders: File,
    folder: TempDir,
}

impl Faults {
    /// Nothing goes wrong yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let orders = options.open(folder.path().join("orders"));
        let faults = Self {
            orders: orders.expect("a file"),
            folder,
        };
        for (place, number) in [(ROOM, -1), (BAD_FLUSHES, 0), (LEAP, 0)] {
            faults.order(place, number);
        }
        faults.order(REFUSED, 0);
        faults.order(LOST, 0);
        faults
    }

    /// Puts the shim under a program that is about to start; its log lines go to a file.
    pub(crate) fn arm(&self, command: &mut Command) {
        let lines = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log());
        command.env("LD_PRELOAD", shim());
        command.env("FAULT_ORDERS", self.folder.path().join("orders"));
        command.stderr(Stdio::from(lines.expect("a file")));
    }

    /// What the program logged.
    pub(crate) fn lines(&self) -> String {
        std::fs::read_to_string(self.log()).expect("its log lines")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// After so many more writes the disk is full; `None` gives it room again.
    pub(crate) fn room(&self, writes: Option<i64>) {
        self.order(ROOM, writes.unwrap_or(-1));
    }

    /// The next flush fails, once.
    pub(crate) fn fail_a_flush(&self) {
        self.order(BAD_FLUSHES, 1);
    }

    /// The machine's clock is wrong by so many seconds.
    pub(crate) fn leap(&self, seconds: i64) {
        self.order(LEAP, seconds);
    }

    /// Writes that found no room.
    pub(crate) fn refused(&self) -> i64 {
        self.told(REFUSED)
    }

    /// Flushes that failed.
    pub(crate) fn lost(&self) -> i64 {
        self.told(LOST)
    }

    fn order(&self, place: u64, number: i64) {
        let written = self.orders.write_all_at(&number.to_ne_bytes(), place * 8);
        written.expect("an order");
    }

    fn told(&self, place: u64) -> i64 {
        let mut number = [0; 8];
        let read = self.orders.read_exact_at(&mut number, place * 8);
        read.expect("a number");
        i64::from_ne_bytes(number)
    }
}

fn shim() -> &'static PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (source, shim) = (folder.join("fault.c"), folder.join("fault.so"));
        std::fs::write(&source, SOURCE).expect("a file");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        compile.arg(&shim).arg(&source).arg("-ldl");
        let compiled = compile.status().expect("a C compiler, as the build needs");
        assert!(compiled.success(), "the shim compiles");
        shim
    })
}
