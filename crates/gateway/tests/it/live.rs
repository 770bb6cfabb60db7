use crate::world::*;
use chancery_gateway::probe::probe;
use chancery_model::mcp::Upstream as Target;
use std::time::Duration;
use chancery_wire::access_token;

#[tokio::test(flavor = "multi_thread")]
async fn live() {
    let Ok(list) = std::env::var("LIVE") else { return };
    let reach = world_of(Vec::new(), 1);
    let mut servers = Vec::new();
    for (i, line) in list.lines().enumerate() {
        let mut parts = line.split(' ').map(str::to_owned);
        let name = parts.next().unwrap();
        let first = parts.next().unwrap();
        let t = if first.starts_with("http") { Target::Http { url: first } } else { Target::Stdio { command: first, args: parts.collect() } };
        let probed = probe(reach.gateway.reach(), &t).await;
        let probed = match probed { Ok(p) => p, Err(e) => { println!("PROBE {name} {e:?}"); continue } };
        println!("PROBE {name} {} {} {:?} {}", probed.name, probed.version, probed.era, probed.tools.len());
        for tool in &probed.tools { for w in chancery_gateway::review::review_definition(tool) { println!("  {w:?}"); } }
        let c = char::from(b'a' + i as u8);
        servers.push(server(&name, c, t, &probed.tools));
    }
    let names: Vec<&'static str> = servers.iter().map(|s| &*Box::leak(s.name.clone().into_boxed_str())).collect();
    let world = world_of(servers, 64);
    for n in &names { let until = world.clock_now().after(Duration::from_secs(6000)); world.change_server(n, |s| s.bearer_until = Some(until)); }
    let l = tokio::net::TcpListener::bind("127.0.0.1:18999").await.unwrap();
    for n in &names {
        let claims = access_token::Claims { cnf: None, ..world.claims(&world.alice, n) };
        println!("TOKEN {n} {}", world.sign(&claims));
    }
    use std::io::Write; std::io::stdout().flush().unwrap();
    let r = world.router.clone();
    tokio::spawn(async move { axum::serve(l, r).await });
    tokio::time::sleep(Duration::from_secs(std::env::var("LIVE_FOR").unwrap().parse().unwrap())).await;
    println!("{:#?}", world.outcomes());
}
