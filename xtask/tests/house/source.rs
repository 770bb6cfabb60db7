//! Reading sources as text: the files of a crate, and a file without its comments.

use std::path::{Path, PathBuf};

const TESTS: &str = "#[cfg(test)]";

/// A source file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where it lies, from the root of the workspace.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
    /// Whether its module, or one around it, is declared under `#[cfg(test)]`.
    pub(crate) only_in_tests: bool,
}

impl Source {
    /// The lines that are program, numbered from 1, each without its comment. Tests are left out: a
    /// file ends at its own test module, which STYLE puts last.
    pub(crate) fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        let ends = |line: &str| self.only_in_tests || line.trim_start().starts_with(TESTS);
        self.code().take_while(move |(_, line)| !ends(line))
    }

    /// All lines, numbered from 1, each without its comment.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate();
        numbered.map(|(index, line)| (index + 1, without_comment(line)))
    }

    /// A place in the file, as compilers write it.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// Every Rust file below `folder`, in order of its path.
pub(crate) fn below(root: &Path, folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    collect(root, &root.join(folder), &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    let for_tests: Vec<_> = sources.iter().flat_map(modules_for_tests).collect();
    for source in &mut sources {
        let path = source.path.with_extension("");
        source.only_in_tests = for_tests.iter().any(|module| path.starts_with(module));
    }
    sources
}

/// The folders of the crates of the house, from the root of the workspace.
pub(crate) fn crates(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("crates")).expect("the house has crates");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| format!("crates/{}", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source is text");
            let path = path
                .strip_prefix(root)
                .expect("the file lies below the root")
                .to_owned();
            sources.push(Source {
                path,
                text,
                only_in_tests: false,
            });
        }
    }
}

/// The modules that a file declares under `#[cfg(test)]`, as paths without their extension.
fn modules_for_tests(source: &Source) -> Vec<PathBuf> {
    let is_head = ["lib", "main", "mod"]
        .iter()
        .any(|name| source.path.file_stem() == Some(name.as_ref()));
    let folder = if is_head {
        source.path.parent().map(Path::to_owned).unwrap_or_default()
    } else {
        source.path.with_extension("")
    };
    let lines: Vec<_> = source.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == TESTS);
    declared
        .filter_map(|pair| module_in(pair[1]))
        .map(|name| folder.join(name))
        .collect()
}

/// The name in a line such as `pub mod agents;`.
pub(crate) fn module_in(line: &str) -> Option<&str> {
    let line = line.strip_suffix(';')?;
    let line = line
        .strip_prefix("pub(crate) ")
        .or(line.strip_prefix("pub "))
        .unwrap_or(line);
    line.strip_prefix("mod ")
}

/// The line up to a `//` that is not inside a string and not the middle of a URL.
fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let mut escaped = false;
    let bytes = line.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            // A quotation mark between apostrophes is a character, not the border of a string.
            b'"' if !(index > 0 && bytes[index - 1] == b'\'') => in_string = !in_string,
            b'/' if !in_string && bytes.get(index + 1) == Some(&b'/') => return &line[..index],
            _ => {}
        }
    }
    line
}

#[test]
fn comment_is_cut_and_url_is_kept() {
    assert_eq!(
        without_comment("let a = 1; // crate::tokens"),
        "let a = 1; "
    );
    assert_eq!(without_comment("//! crate::tokens"), "");
    assert_eq!(
        without_comment("let a = \"https://b\"; // c"),
        "let a = \"https://b\"; "
    );
    assert_eq!(
        without_comment("let a = \"\\\"//\"; // c"),
        "let a = \"\\\"//\"; "
    );
    assert_eq!(without_comment("let a = '\"'; // c"), "let a = '\"'; ");
}

#[test]
fn tests_are_not_program() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.to_owned(),
        only_in_tests: false,
    };
    let file = source("a/src/tokens.rs", "use a;\n#[cfg(test)]\nmod tests;\n");
    assert_eq!(file.program().count(), 1);
    assert_eq!(file.code().count(), 3);
    assert_eq!(
        modules_for_tests(&file),
        [PathBuf::from("a/src/tokens/tests")]
    );
    let head = source("a/src/lib.rs", "#[cfg(test)]\nmod vectors;\nmod jws;\n");
    assert_eq!(modules_for_tests(&head), [PathBuf::from("a/src/vectors")]);
}
