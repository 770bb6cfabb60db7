//! Chapters 4 to 7: the agent looks around, does its work, meets a limit, and tries what it was never given.

use chancery_api::policies::{PolicyKind, PolicyText};
use chancery_model::decision::Effect;
use chancery_model::event::EventKind;
use chancery_wire::mcp;
use serde_json::{Map, Value, json};

use crate::agent::credential::Credential;
use crate::agent::link::Link;
use crate::agent::session::{Era, Session, SessionError};
use crate::story::narrator::Narrator;
use crate::story::opening::{Agent, Badge, Desk};
use crate::story::{Failure, Scene, record};

/// The order that everything is about: 480 euros, so that the desk itself would allow all that is asked for.
const ORDER: &str = "ord_1001";

/// The rule that is added while the agent is at work.
const LIMIT: &str = include_str!("refund-limit.cedar");
const LIMIT_REASON: &str = "refunds above 100 need a person";

pub(super) async fn look_around(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    badge: &Badge,
) -> Result<Session, Failure> {
    tell.begin(
        "It looks around",
        "The desk has six tools. The agent is shown those that its document grants; what it may not call it does \
         not even see.",
    )?;
    let link = Link::new(scene.transport.clone(), badge.credential.clone());
    let session = tell.must(
        Session::connect(&desk.url, link, Era::Modern).await,
        "a connection to the desk",
    )?;
    let mut tools = tell.must(session.tools().await, "a list of tools")?;
    tools.sort_unstable();
    let granted = ["find_customer", "get_order", "issue_refund", "list_orders"];
    tell.expect(
        tools == granted,
        "the four tools of the document and no other",
        || tools.join(", "),
    )?;
    tell.fact(
        "speaks",
        format!("MCP {} by the official Rust SDK", mcp::MODERN),
    )?;
    tell.good("sees", tools.join(", "))?;
    tell.refused("does not see", "delete_customer, export_customers")?;
    tell.end()?;
    Ok(session)
}

pub(super) async fn refund(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    agent: &Agent,
    session: &Session,
) -> Result<(), Failure> {
    tell.begin(
        "It does its work",
        "An espresso machine arrived with a broken handle, and 40 euros go back. Each call is judged on its \
         arguments, and recorded before the desk hears of it.",
    )?;
    let order = session
        .call("get_order", arguments(json!({"order_id": ORDER})))
        .await;
    let order = tell.must(order, "the order")?;
    tell.expect(
        order["order"]["refunded"] == 0,
        "an order without refunds",
        || order.to_string(),
    )?;
    tell.good(
        "get_order",
        format!(
            "{ORDER}: {}, {} euros",
            words(&order["order"]["item"]),
            order["order"]["total"]
        ),
    )?;
    let call = json!({"order_id": ORDER, "amount": 40, "reason": "the handle arrived broken"});
    let refunded = tell.must(
        session.call("issue_refund", arguments(call)).await,
        "a refund of 40 euros",
    )?;
    let amount = &refunded["order"]["refunded"];
    tell.expect(*amount == 40, "40 euros given back", || {
        refunded.to_string()
    })?;
    tell.good(
        "issue_refund",
        format!("allowed: {}, 40 euros", words(&refunded["refund"]["id"])),
    )?;
    let logged = record::newest(
        scene,
        tell,
        agent,
        &[EventKind::CallPermitted],
        "issue_refund",
    )
    .await?;
    let decision = logged.event.decision.as_ref();
    let decided = decision.is_some_and(|decision| decision.effect == Effect::Permit);
    tell.expect(decided, "a decision in the record", || {
        format!("{:?}", logged.event)
    })?;
    tell.fact(
        "because",
        decision.map(|it| it.reason.clone()).unwrap_or_default(),
    )?;
    tell.fact("recorded", format!("entry {} of the record", logged.index))?;
    tell.end()
}

pub(super) async fn hit_the_limit(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    agent: &Agent,
    session: &Session,
) -> Result<(), Failure> {
    tell.begin(
        "It asks for too much",
        "Somebody adds a rule about amounts. The agent is still connected, its token still good, and the order \
         would allow it; but the next refund is one of 400 euros.",
    )?;
    let policy = PolicyText {
        text: LIMIT.to_owned(),
        kind: PolicyKind::Policies,
        name: None,
    };
    tell.must(
        scene.authority.policy_put("refund-limit", &policy).await,
        "a policy in force",
    )?;
    tell.fact(
        "new policy",
        "refund-limit: forbid issue_refund when amount > 100",
    )?;
    let call = json!({"order_id": ORDER, "amount": 400, "reason": "the customer insists"});
    let denied = session.call("issue_refund", arguments(call)).await;
    let said = refusal(tell, denied, "a refund of 400 euros denied")?;
    tell.expect(said.contains(LIMIT_REASON), LIMIT_REASON, || said.clone())?;
    tell.refused("issue_refund", said)?;
    let logged =
        record::newest(scene, tell, agent, &[EventKind::CallDenied], "issue_refund").await?;
    let decision = logged.event.decision.as_ref();
    let policies = decision
        .map(|decision| decision.policies.clone())
        .unwrap_or_default();
    let named = policies
        .iter()
        .any(|policy| policy.contains("refund-limit"));
    tell.expect(
        named,
        "the policy `refund-limit` named in the record",
        || format!("{policies:?}"),
    )?;
    tell.fact("decided by", policies.join(", "))?;
    if let Some(decision) = decision {
        tell.fact(
            "recorded",
            format!(
                "entry {} of the record, decision {}",
                logged.index, decision.id
            ),
        )?;
    }
    let truth =
        behind_the_gateway(scene, tell, desk, "get_order", json!({"order_id": ORDER})).await?;
    let refunds = truth["refunds"].as_array().map_or(0, Vec::len);
    let untouched = refunds == 1 && truth["order"]["refunded"] == 40;
    tell.expect(untouched, "one refund of 40 euros at the desk", || {
        truth.to_string()
    })?;
    tell.fact("at the desk", "one refund of 40 euros, as before")?;
    tell.end()
}

pub(super) async fn leave_the_document(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    agent: &Agent,
    session: &Session,
) -> Result<(), Failure> {
    tell.begin(
        "It tries what it was never given",
        "Somewhere it has read of a tool named delete_customer. Its document does not grant it, and knowing a name is \
         not permission.",
    )?;
    let denied = session
        .call(
            "delete_customer",
            arguments(json!({"customer_id": "cus_1"})),
        )
        .await;
    let said = refusal(tell, denied, "the call of delete_customer denied")?;
    tell.refused("delete_customer", said)?;
    let kinds = [EventKind::CallDenied, EventKind::CallRefused];
    let logged = record::newest(scene, tell, agent, &kinds, "delete_customer").await?;
    tell.fact("recorded", format!("entry {} of the record", logged.index))?;
    let truth = behind_the_gateway(
        scene,
        tell,
        desk,
        "find_customer",
        json!({"query": "cus_1"}),
    )
    .await?;
    let still_there = truth["customers"]
        .as_array()
        .is_some_and(|found| found.len() == 1);
    tell.expect(still_there, "the customer still at the desk", || {
        truth.to_string()
    })?;
    tell.fact(
        "at the desk",
        format!(
            "{} is still a customer",
            words(&truth["customers"][0]["name"])
        ),
    )?;
    tell.end()
}

/// What the gateway said when it refused; anything else is a failure of the story.
fn refusal(
    tell: &Narrator<'_>,
    called: Result<Value, SessionError>,
    expected: &str,
) -> Result<String, Failure> {
    match called {
        Err(SessionError::Refused { code, message, .. })
            if [mcp::DENIED, mcp::REFUSED].contains(&code.into()) =>
        {
            Ok(message)
        }
        Err(other) => Err(tell.failure(expected, format!("{other:?}"))),
        Ok(done) => Err(tell.failure(expected, format!("it was done: {done}"))),
    }
}

/// Asks the desk itself, past the gateway: what is true there, whoever tells what.
async fn behind_the_gateway(
    scene: &Scene<'_>,
    tell: &Narrator<'_>,
    desk: &Desk,
    tool: &'static str,
    question: Value,
) -> Result<Value, Failure> {
    let link = Link::new(scene.transport.clone(), Credential::Nothing);
    let direct = Session::connect(&desk.process.url, link, Era::Modern).await;
    let direct = tell.must(direct, "a direct connection to the desk")?;
    let answer = direct.call(tool, arguments(question)).await;
    direct.close().await;
    tell.must(answer, "an answer of the desk itself")
}

fn arguments(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// A text of a JSON answer, without its quotes.
fn words(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
