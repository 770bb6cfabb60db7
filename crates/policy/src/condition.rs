//! Conditions of policies, compiled: what can be evaluated here without the engine.
//!
//! The engine interprets a policy by building its whole expression anew and cloning each value on
//! the way, which takes longer than everything else in a decision. So the conditions of a policy
//! become a [`Term`] once, when the snapshot compiles; its scope is the index's. Only what is plain is
//! compiled. A policy with anything else in it stays the engine's, and so does every evaluation that
//! is not as plain as it looked (`evaluate`). The engine is the oracle of the tests: on the cases that
//! they generate and on the engine's own published ones, both say the same.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy::pst::{
    BinaryOp, Clause, EntityType, EntityUID, Expr, Literal, PatternElem, UnaryOp, Var,
};
use cedar_policy::{Context, Entities, EvalResult, Expression, Policy, Request, eval_expression};

use crate::schema;
use crate::shape;
use crate::value::{Kind, Set, Uid, Value};

/// How deep a term may be: evaluating one takes stack in a worker of the server.
const MAX_DEPTH: usize = 48;

/// An expression that can be evaluated here.
#[derive(Debug)]
pub(crate) enum Term {
    Known(Value<'static>),
    /// What is there, which must be there.
    Path(Arc<Path>),
    /// Whether there is what the path says; only so many of its last attributes may be missing.
    Has(Arc<Path>, usize),
    /// All of them hold; looks no further than the first that does not.
    Every(Vec<Term>),
    /// One of them holds; looks no further than it.
    Either(Vec<Term>),
    Not(Box<Term>),
    /// The first decides between the other two.
    If(Box<[Term; 3]>),
    Is(Box<Term>, Arc<Kind>),
    Like(Box<Term>, Pattern),
    One(One, Box<Term>),
    Two(Two, Box<[Term; 2]>),
}

/// An attribute of an attribute … of something that every question has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) names: Box<[Box<str>]>,
}

/// What every question has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    Principal,
    Action,
    Resource,
    Context,
}

/// What is done with one value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum One {
    Negate,
    IsEmpty,
    /// Midnight before the moment.
    Date,
    /// The time since midnight.
    Time,
    /// A span in whole units of so many milliseconds.
    Units(i64),
}

/// What is done with two values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Two {
    Equal,
    Less,
    LessOrEqual,
    DecimalLess,
    DecimalLessOrEqual,
    In,
    Contains,
    ContainsAll,
    ContainsAny,
    Add,
    Subtract,
    Multiply,
    Offset,
    Since,
}

/// A text with gaps: the pieces between its wildcards.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<String>);

/// Compiles the conditions of the policies of a set.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    /// Each kept once: most conditions are about the same few.
    paths: HashSet<Arc<Path>>,
}

impl Compiler {
    /// The conditions of the policy; `None` when only the engine can evaluate them.
    pub(crate) fn conditions(&mut self, policy: &Policy) -> Option<Term> {
        let written = policy.to_pst().ok()?;
        let clauses = written.body().clauses().iter();
        let terms = clauses.map(|clause| match clause {
            Clause::When(condition) => self.term(condition, MAX_DEPTH),
            Clause::Unless(condition) => Some(not(self.term(condition, MAX_DEPTH)?)),
        });
        Some(every(terms.collect::<Option<_>>()?))
    }

    fn term(&mut self, expression: &Expr, depth: usize) -> Option<Term> {
        let depth = depth.checked_sub(1)?;
        Some(match expression {
            Expr::Literal(literal) => Term::Known(known(literal)?),
            Expr::Var(_) | Expr::GetAttr { .. } => Term::Path(self.path(expression, &[])?),
            Expr::HasAttr { expr, attrs } => {
                let names: Vec<&str> = attrs.iter().map(|name| name.as_str()).collect();
                Term::Has(self.path(expr, &names)?, names.len())
            }
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, depth)?,
            Expr::BinaryOp {
                op: op @ (BinaryOp::And | BinaryOp::Or),
                left,
                right,
            } => {
                let operands = chain(*op, left, right).into_iter();
                let terms = operands.map(|operand| self.term(operand, depth));
                let terms = terms.collect::<Option<_>>()?;
                match op {
                    BinaryOp::And => Term::Every(terms),
                    _ => Term::Either(terms),
                }
            }
            Expr::BinaryOp { op, left, right } => {
                binary(*op, self.term(left, depth)?, self.term(right, depth)?)?
            }
            Expr::Like { expr, pattern } => {
                let text = Box::new(self.term(expr, depth)?);
                Term::Like(text, Pattern::of(pattern))
            }
            Expr::Is {
                expr,
                entity_type,
                in_expr,
            } => {
                let is = is(self.term(expr, depth)?, entity_type)?;
                match in_expr {
                    None => is,
                    Some(above) => {
                        let (below, above) = (self.term(expr, depth)?, self.term(above, depth)?);
                        Term::Every(vec![is, two(Two::In, below, above)])
                    }
                }
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                let condition = self.term(cond, depth)?;
                let (then, other) = (self.term(then_expr, depth)?, self.term(else_expr, depth)?);
                Term::If(Box::new([condition, then, other]))
            }
            Expr::Set(items) => {
                let items = items.iter().map(|item| match self.term(item, depth)? {
                    Term::Known(value) => Some(value),
                    _ => None,
                });
                Term::Known(Value::Set(Set::new(items.collect::<Option<_>>()?)))
            }
            // Records, tags, addresses, and whatever the language grows.
            _ => return None,
        })
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, depth: usize) -> Option<Term> {
        let one = match op {
            UnaryOp::Not => return Some(not(self.term(operand, depth)?)),
            UnaryOp::Neg => One::Negate,
            UnaryOp::IsEmpty => One::IsEmpty,
            UnaryOp::ToDate => One::Date,
            UnaryOp::ToTime => One::Time,
            UnaryOp::ToMilliseconds => One::Units(1),
            UnaryOp::ToSeconds => One::Units(1_000),
            UnaryOp::ToMinutes => One::Units(60_000),
            UnaryOp::ToHours => One::Units(3_600_000),
            UnaryOp::ToDays => One::Units(86_400_000),
            constructor => return constant(constructor, operand).map(Term::Known),
        };
        Some(Term::One(one, Box::new(self.term(operand, depth)?)))
    }

    /// The path that the expression is, followed by these names.
    fn path(&mut self, expression: &Expr, then: &[&str]) -> Option<Arc<Path>> {
        let mut names: Vec<Box<str>> = then.iter().rev().map(|&name| name.into()).collect();
        let mut at = expression;
        while let Expr::GetAttr { expr, attr } = at {
            names.push(attr.as_str().into());
            at = expr;
        }
        names.reverse();
        let root = match at {
            Expr::Var(Var::Principal) => Root::Principal,
            Expr::Var(Var::Action) => Root::Action,
            Expr::Var(Var::Resource) => Root::Resource,
            Expr::Var(Var::Context) => Root::Context,
            _ => return None,
        };
        let names = names.into_boxed_slice();
        let path = Path { root, names };
        if let Some(kept) = self.paths.get(&path) {
            return Some(Arc::clone(kept));
        }
        let path = Arc::new(path);
        self.paths.insert(Arc::clone(&path));
        Some(path)
    }
}

fn binary(op: BinaryOp, left: Term, right: Term) -> Option<Term> {
    Some(match op {
        BinaryOp::Eq => two(Two::Equal, left, right),
        BinaryOp::NotEq => not(two(Two::Equal, left, right)),
        BinaryOp::Less => two(Two::Less, left, right),
        BinaryOp::LessEq => two(Two::LessOrEqual, left, right),
        BinaryOp::Greater => two(Two::Less, right, left),
        BinaryOp::GreaterEq => two(Two::LessOrEqual, right, left),
        BinaryOp::DecimalLessThan => two(Two::DecimalLess, left, right),
        BinaryOp::DecimalLessEq => two(Two::DecimalLessOrEqual, left, right),
        BinaryOp::DecimalGreater => two(Two::DecimalLess, right, left),
        BinaryOp::DecimalGreaterEq => two(Two::DecimalLessOrEqual, right, left),
        BinaryOp::Add => two(Two::Add, left, right),
        BinaryOp::Sub => two(Two::Subtract, left, right),
        BinaryOp::Mul => two(Two::Multiply, left, right),
        BinaryOp::In => two(Two::In, left, right),
        BinaryOp::Contains => two(Two::Contains, left, right),
        BinaryOp::ContainsAll => two(Two::ContainsAll, left, right),
        BinaryOp::ContainsAny => two(Two::ContainsAny, left, right),
        BinaryOp::Offset => two(Two::Offset, left, right),
        BinaryOp::DurationSince => two(Two::Since, left, right),
        _ => return None,
    })
}

/// A constant of an extension type.
fn constant(constructor: UnaryOp, operand: &Expr) -> Option<Value<'static>> {
    let Expr::Literal(Literal::String(text)) = operand else {
        return None;
    };
    match constructor {
        UnaryOp::Datetime => {
            let since_epoch = r#"durationSince(datetime("1970-01-01"))"#;
            let moment = call("datetime", text)?;
            milliseconds(&format!("{moment}.{since_epoch}")).map(Value::Moment)
        }
        UnaryOp::Duration => milliseconds(&call("duration", text)?).map(Value::Span),
        UnaryOp::Decimal => {
            let (_, places) = text.split_once('.')?;
            let legal = (1..=4).contains(&places.len());
            legal.then(|| shape::decimal(text))?.map(Value::Decimal)
        }
        _ => None,
    }
}

/// A call of a constructor, as it is written.
fn call(constructor: &str, text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-:.".contains(&byte);
    let plain = text.bytes().all(plain);
    plain.then(|| format!("{constructor}(\"{text}\")"))
}

/// How long the engine says that a duration is.
pub(crate) fn milliseconds(duration: &str) -> Option<i64> {
    let expression: Expression = format!("{duration}.toMilliseconds()").parse().ok()?;
    let nobody = Uid::new(&schema::AUTHORITY, "").express();
    let request = Request::new(
        nobody.clone(),
        nobody.clone(),
        nobody,
        Context::empty(),
        None,
    );
    match eval_expression(&request.ok()?, &Entities::empty(), &expression).ok()? {
        EvalResult::Long(milliseconds) => Some(milliseconds),
        _ => None,
    }
}

/// The operands of `left op right` with those of the same operator on the left taken apart, which is
/// how long chains are written.
fn chain<'a>(op: BinaryOp, left: &'a Expr, right: &'a Expr) -> Vec<&'a Expr> {
    let mut operands = vec![right];
    let mut first = left;
    while let Expr::BinaryOp {
        op: same,
        left,
        right,
    } = first
        && *same == op
    {
        operands.push(right);
        first = left;
    }
    operands.push(first);
    operands.reverse();
    operands
}

/// All of them; one needs no list.
fn every(mut terms: Vec<Term>) -> Term {
    match (terms.pop(), terms.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            terms.extend(last);
            Term::Every(terms)
        }
    }
}

fn not(term: Term) -> Term {
    Term::Not(Box::new(term))
}

fn two(op: Two, left: Term, right: Term) -> Term {
    Term::Two(op, Box::new([left, right]))
}

fn is(term: Term, kind: &EntityType) -> Option<Term> {
    let kind = schema::kind(&kind.to_string())?;
    Some(Term::Is(Box::new(term), kind))
}

fn entity(uid: &EntityUID) -> Option<Value<'static>> {
    let kind = schema::kind(&uid.ty.to_string())?;
    Some(Value::Entity(Uid::new(&kind, uid.eid.to_string())))
}

fn known(literal: &Literal) -> Option<Value<'static>> {
    match literal {
        Literal::Bool(flag) => Some(Value::Flag(*flag)),
        Literal::Long(long) => Some(Value::Long(*long)),
        Literal::String(text) => Some(Value::owned(text.as_str())),
        Literal::EntityUID(uid) => entity(uid),
        _ => None,
    }
}

impl Pattern {
    fn of(elements: &[PatternElem]) -> Self {
        let mut pieces = vec![String::new()];
        for element in elements {
            match (element, pieces.last_mut()) {
                (PatternElem::Char(character), Some(piece)) => piece.push(*character),
                (PatternElem::Char(_), None) | (PatternElem::Wildcard, _) => {
                    pieces.push(String::new());
                }
            }
        }
        Self(pieces)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.0.split_first() else {
            return false;
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some((last, between)) = others.split_last() else {
            return rest.is_empty();
        };
        // The first place where a piece fits leaves the most for those after it.
        for piece in between {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}
