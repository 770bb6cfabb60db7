//! Limits on the texts of policies and schemas, before the engine sees them (POL-14).
//!
//! The engine recurses with the depth of an expression. Two things follow from that: its parser can
//! overflow the stack, and its checker, when the stack runs low, gives up without an error, which
//! would let an unchecked policy through. So a text may only go so deep, and it is compiled on a
//! stack on which that depth is never a problem.

use std::thread::{Builder, scope};

use crate::compile::PolicySource;
use crate::diagnose::{CompileError, Diagnostic};

/// How deep brackets may nest.
const MAX_NESTING: usize = 48;

/// How many operators one statement may have; no expression is deeper than that.
const MAX_OPERATORS: usize = 1_000;

/// How many `if`s, and `is` after a group, one statement may have: the checker takes twice as long for each that is
/// nested.
const MAX_BRANCHES: usize = 8;

/// How long the pattern of one `like` may be, in bytes: a comparison takes as many steps as the text is long, times this.
const MAX_PATTERN: usize = 1_024;

/// Enough for the deepest statement in an unoptimised build, several times over.
const STACK: usize = 128 << 20;

/// Refuses texts that nest too deep, or that compare with too long a pattern.
pub(crate) fn check(sources: &[PolicySource<'_>]) -> Result<(), CompileError> {
    let beyond = sources.iter().filter_map(|source| {
        let offset = beyond_limit_at(source.text)?;
        let message = format!(
            "one statement nests deeper than {MAX_NESTING}, or has more than {MAX_OPERATORS} operators or \
             {MAX_BRANCHES} `if`s, or has a pattern of more than {MAX_PATTERN} bytes"
        );
        Some(Diagnostic::at(source.name, source.text, offset, message))
    });
    let diagnostics: Vec<_> = beyond.collect();
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(CompileError { diagnostics })
    }
}

/// Does `work` on a stack that fits what [`check`] lets through.
pub(crate) fn on_deep_stack<T: Send>(
    work: impl FnOnce() -> Result<T, CompileError> + Send,
) -> Result<T, CompileError> {
    let failed = |message| {
        Err(CompileError {
            diagnostics: vec![Diagnostic::whole("policies", message)],
        })
    };
    scope(
        |scope| match Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
            Ok(worker) => worker
                .join()
                .unwrap_or_else(|_| failed("the policy engine failed")),
            Err(_) => failed("there is no memory to compile policies"),
        },
    )
}

/// Where the text first goes beyond a limit. Operators are counted generously: whatever nests is one.
fn beyond_limit_at(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut nesting, mut operators, mut branches) = (0_usize, 0_usize, 0_usize);
    let mut at = 0;
    // Whether what came last, but for spaces and comments, closed a group.
    let mut is_after_group = false;
    let mut is_after_like = false;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let was_after_group = is_after_group;
        is_after_group = match byte {
            b')' | b']' => true,
            b'/' if bytes.get(at) == Some(&b'/') => was_after_group,
            _ => was_after_group && byte.is_ascii_whitespace(),
        };
        match byte {
            b'"' => {
                let end = after_string(bytes, at);
                if std::mem::take(&mut is_after_like) && end - at > MAX_PATTERN + 1 {
                    return Some(start);
                }
                at = end;
            }
            b'/' if bytes.get(at) == Some(&b'/') => {
                at += bytes[at..]
                    .iter()
                    .take_while(|&&byte| byte != b'\n')
                    .count();
            }
            b'(' | b'[' | b'{' => {
                nesting += 1;
                operators += 1;
            }
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            b';' => (operators, branches) = (0, 0),
            b'&' | b'|' | b'+' | b'-' | b'*' | b'.' | b'!' | b'<' | b'>' | b'=' => operators += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
                at += bytes[at..].iter().take_while(word).count();
                let keyword = matches!(
                    &bytes[start..at],
                    b"if" | b"in" | b"is" | b"has" | b"like" | b"when" | b"unless"
                );
                operators += usize::from(keyword);
                is_after_like = &bytes[start..at] == b"like";
                // The engine writes `e is T in X` as a conjunction in which `e` stands twice.
                let doubles = match &bytes[start..at] {
                    b"if" => true,
                    b"is" => was_after_group,
                    _ => false,
                };
                branches += usize::from(doubles);
            }
            _ => {}
        }
        if nesting > MAX_NESTING || operators > MAX_OPERATORS || branches > MAX_BRANCHES {
            return Some(start);
        }
    }
    None
}

/// The offset after the closing quote of a string that is open at `at`.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Snapshot;

    fn compiles(condition: &str) -> Result<(), String> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let source = PolicySource {
            name: "deep",
            text: &text,
        };
        let compiled = Snapshot::compile(1, &[source], &[], &[]);
        compiled.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn pol_14_deep_texts_are_refused_and_never_crash() {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{a:", "}"),
            ("if ", " then true else true"),
        ] {
            for depth in [100, 10_000, 1_000_000] {
                let text = format!("{}true{}", open.repeat(depth), close.repeat(depth));
                assert!(compiles(&text).is_err(), "{open} {depth}");
            }
        }
        let legal = format!("{}true{}", "(".repeat(40), ")".repeat(40));
        assert_eq!(compiles(&legal), Ok(()));
        let branches = |count| {
            let (open, close) = ("if true then ", " else false");
            compiles(&format!(
                "{}true{}",
                open.repeat(count),
                close.repeat(count)
            ))
        };
        assert_eq!(branches(MAX_BRANCHES), Ok(()));
        assert!(branches(MAX_BRANCHES + 1).is_err());
        let types = |count: usize, after: &str| {
            let kind = "is Chancery::Agent in Chancery::Agent::\"x\"";
            let open = "(".repeat(count);
            let close = format!("){after}{kind}").repeat(count);
            compiles(&format!("{open}principal {kind}{close}"))
        };
        for after in ["", " ", " // x\n "] {
            let refused = types(MAX_BRANCHES + 1, after).expect_err("must be refused");
            assert!(refused.contains("operators"), "{refused}");
            // Its twin is refused for its types alone.
            let refused = types(2, after).expect_err("not a type");
            assert!(!refused.contains("operators"), "{refused}");
        }
        let long = vec!["true"; 400].join(" && ");
        assert_eq!(compiles(&long), Ok(()));
    }

    #[test]
    fn pol_14_patterns_of_policies_are_short() {
        let matches =
            |pattern: &str, between: &str| compiles(&format!("\"a\" like{between}\"{pattern}\""));
        for between in ["", " ", " // x\n"] {
            assert_eq!(matches(&"a".repeat(MAX_PATTERN), between), Ok(()));
            let refused = matches(&"*a".repeat(MAX_PATTERN), between).expect_err("too long");
            assert!(refused.contains("pattern"), "{refused}");
        }
        let text = format!("\"{}\" like \"a*\"", "a".repeat(2 * MAX_PATTERN));
        assert_eq!(compiles(&text), Ok(()), "any other text may be long");
    }

    #[test]
    fn the_deepest_legal_text_is_still_checked() {
        for wrong in [
            format!("principal{} == 1", ".a".repeat(990)),
            format!("principal{} == 1", "[\"a\"]".repeat(990)),
            format!("[1]{}", ".contains(1)".repeat(490)),
            format!("{} > 0", vec!["\"x\""; 990].join(" + ")),
        ] {
            let refused = compiles(&wrong).expect_err("must be refused");
            assert!(!refused.contains("operators"), "{refused}");
        }
    }

    #[test]
    fn strings_comments_and_statements_do_not_add_up() {
        let strings = format!("\"{}\\\"((\" == \"x\"", "(".repeat(2_000));
        assert!(beyond_limit_at(&strings).is_none());
        assert!(beyond_limit_at(&format!("// {}\n", "(".repeat(2_000))).is_none());
        assert!(
            beyond_limit_at(&"permit (principal, action, resource);\n".repeat(5_000)).is_none()
        );
        let quoted = "\"\\\\\" ".to_owned() + &"(".repeat(2_000);
        assert!(beyond_limit_at(&quoted).is_some());
    }
}
