//! `chancery man`: manual pages from the same definition as the help.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use crate::args;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page for every command into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(session: &Session, args: &ManArgs) -> Result<Exit, Failure> {
    match &args.out {
        None => session.output.bytes(&page(args::definition())?)?,
        Some(folder) => {
            let count = write_all(folder)?;
            session
                .output
                .remark(&format!("{count} pages in {}", folder.display()));
        }
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::output(&error))?;
    Ok(page)
}

fn write_all(folder: &Path) -> Result<usize, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("make", folder, &error))?;
    let mut command = args::definition().disable_help_subcommand(true);
    command.build();
    write_below(folder, command, "chancery")
}

fn write_below(folder: &Path, command: clap::Command, name: &str) -> Result<usize, Failure> {
    let mut count = 1;
    for below in command.get_subcommands() {
        let name = format!("{name}-{}", below.get_name());
        count += write_below(folder, below.clone(), &name)?;
    }
    let path = folder.join(format!("{name}.1"));
    // The page of `chancery agent show` is called `chancery-agent-show`.
    let page = page(command.display_name(name.to_owned()))?;
    std::fs::write(&path, page).map_err(|error| Failure::file("write", &path, &error))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = write_all(folder.path()).expect("written");
        assert!(count > args::tests::leaves().len());
        let page = std::fs::read_to_string(folder.path().join("chancery-agent-show.1"));
        assert!(page.is_ok_and(|page| page.contains("Show an agent")));
    }
}
