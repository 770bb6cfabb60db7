//! The roof: the only place that opens the world. It reads configuration, clock, entropy, keys, files and
//! sockets, hands them down as values, and runs a role.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the roof opens the world"
)]

mod data;
mod demo;
mod desk;
mod doctor;
mod listen;
mod presence;
mod role;
mod test_login;
mod tls;
mod world;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use chancery_cli::args::{self, Invocation};
use chancery_cli::roles::Role;
use chancery_cli::run::{World, run};

use crate::world::{OperatingSystem, SystemClock};

/// A request makes many small allocations, which this allocator serves faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(dispatch(invocation))
}

async fn dispatch(invocation: Invocation) -> ExitCode {
    let outcome = match invocation {
        Invocation::Command(asked) => {
            let clock = SystemClock::new();
            let world = World {
                clock: &clock,
                entropy: Arc::new(OperatingSystem),
                stdout_is_terminal: std::io::stdout().is_terminal(),
                stderr_is_terminal: std::io::stderr().is_terminal(),
            };
            return run(*asked, &world).await;
        }
        Invocation::Role(role) => match *role {
            Role::Up(args) => role::up(args).await,
            Role::Serve(args) => role::serve(args).await,
            Role::Demo(args) => return demo::run(args).await,
            Role::Desk(args) => desk::run(args).await,
            Role::Doctor(args) => return doctor::run(args).await,
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
