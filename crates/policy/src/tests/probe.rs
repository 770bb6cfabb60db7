use crate::compile::Snapshot;
use super::source;
#[test]
#[ignore]
fn probe() {
    for n in [8, 12, 16, 40] {
        for (kind, open, mid, close) in [
            ("or", "(true || ", "true", ")"),
            ("orf", "(false || ", "true", ")"),
            ("and", "(true && ", "true", ")"),
            ("andf", "(false && ", "true", ")"),
            ("andr", "(", "true", " && true)"),
            ("orr", "(", "true", " || false)"),
            ("eq", "(true == ", "true", ")"),
            ("eqr", "(", "true", " == true)"),
            ("neg", "!(", "true", ")"),
            ("contains", "[true].contains(", "true", ")"),
            ("containsl", "[", "true", "].contains(true)"),
            ("rec", "{a: ", "true", "}.a"),
            ("rechas", "({a: ", "true", "} has a)"),
            ("isempty", "![", "true", "].isEmpty()"),
            ("containsAll", "[true].containsAll([", "true", "])"),
            ("add", "(1 + ", "1", ")"),
            ("in", "(principal in [principal]) && (", "true", ")"),
            ("like", "(\"a\" like \"a*\" && ", "true", ")"),
            ("dec", "(decimal(\"1.0\").lessThan(decimal(\"2.0\")) && ", "true", ")"),
        ] {
            let body = format!("{}{mid}{}", open.repeat(n), close.repeat(n));
            let body = if kind == "add" { format!("{body} > 0") } else { body };
            let text = format!("permit (principal, action, resource) when {{ {body} }};");
            let t = std::time::Instant::now();
            let r = Snapshot::compile(1, &[source(&text)], &[], &[]);
            println!("{kind} {n} {} {:?}", r.is_ok(), t.elapsed());
        }
    }
    for (kind, open, mid, close) in [
        ("ifvar", "if principal is Chancery::Agent then ", "true", " else false"),
        ("iffalse", "if false then true else ", "true", ""),
        ("iftest", "if (", "true", ") then true else true"),
        ("iftest2", "if ", "true", " then true else true"),
    ] {
      for n in [8, 12, 16, 40] {
            let body = format!("{}{mid}{}", open.repeat(n), close.repeat(n));
            let text = format!("permit (principal, action, resource) when {{ {body} }};");
            let t = std::time::Instant::now();
            let r = Snapshot::compile(1, &[source(&text)], &[], &[]);
            println!("{kind} {n} {} {:?}", r.is_ok(), t.elapsed());
        }
    }
}
