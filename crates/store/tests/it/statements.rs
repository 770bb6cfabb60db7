//! SQLite numbers `$1`, `$2`… by their first appearance, PostgreSQL by their name: a statement must mean
//! the same by both.

use std::path::Path;

/// The string literals of Rust source, with the line that each begins on.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    assert!(!source.contains("r#\""), "raw texts are not read here");
    let mut bytes = source.char_indices().peekable();
    let mut is_comment = false;
    let mut before = ' ';
    while let Some((place, letter)) = bytes.next() {
        match letter {
            '\n' => is_comment = false,
            '/' if before == '/' => is_comment = true,
            '"' if !is_comment && before != '\'' => {
                let mut text = String::new();
                while let Some((_, letter)) = bytes.next() {
                    match letter {
                        '"' => break,
                        '\\' => text.extend(bytes.next().map(|(_, escaped)| escaped)),
                        plain => text.push(plain),
                    }
                }
                found.push((source[..place].lines().count(), text));
            }
            _ => {}
        }
        before = letter;
    }
    found
}

/// The numbers of the parameters in the order in which they first appear.
fn first_appearances(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    for rest in text.split('$').skip(1) {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse()
            && !numbers.contains(&number)
        {
            numbers.push(number);
        }
    }
    numbers
}

#[test]
fn parameters_of_every_statement_first_appear_in_ascending_order() {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut checked = 0;
    while let Some(path) = paths.pop() {
        if let Ok(inside) = std::fs::read_dir(&path) {
            paths.extend(inside.map(|file| file.expect("a file").path()));
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source");
        for (line, text) in literals(&source) {
            let numbers = first_appearances(&text);
            assert!(numbers.is_sorted(), "{}:{line}: {text}", path.display());
            checked += usize::from(!numbers.is_empty());
        }
    }
    assert!(checked > 40, "only {checked} statements were found");
}

#[test]
fn statement_out_of_order_would_be_found() {
    let source = "let sql = \"UPDATE a SET b = $2 \\\n WHERE c = $1\";";
    let found = literals(source);
    assert_eq!(found.len(), 1);
    assert_eq!(first_appearances(&found[0].1), [2, 1]);
}
