//! Inclusion proofs in a log of ten million entries, from tiles as they are stored.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_ledger::appender::Appender;
use chancery_ledger::hash::{Hash, leaf_hash};
use chancery_ledger::path::TileId;
use chancery_ledger::proof::{inclusion, verify_inclusion};
use chancery_ledger::tile::TileRow;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::child::{self, number};
use crate::cores::used_here;
use crate::report::{Goal, Row};
use crate::series::Series;

/// Entries of the log.
const SIZE: u64 = 10_000_000;
/// How many entries are proven, spread over the log.
const SAMPLES: u64 = 2_000;

/// Proofs in a log of that size.
#[derive(Debug, clap::Args)]
pub(crate) struct Proving {
    #[arg(long)]
    seconds: f64,
}

type Rows = HashMap<(u8, u64), TileRow>;

impl Proving {
    pub(super) fn measure(&self) -> Result<Value> {
        // A step that has no factor in common with the size of a tile, so that all places in tiles occur.
        let samples: Vec<u64> = (0..SAMPLES).map(|sample| sample * 4_999 % SIZE).collect();
        let before = used_here()?;
        let (rows, root) = build(&samples)?;
        let appended = SIZE as f64 / (used_here()? - before).as_secs_f64();
        let read = |id: TileId| {
            rows.get(&(id.level(), id.index()))
                .context("a tile is absent")
        };

        let (mut proving, mut verifying) = (Duration::ZERO, Duration::ZERO);
        let mut count = 0_u32;
        while (proving + verifying).as_secs_f64() < self.seconds {
            let begin = used_here()?;
            let proofs = samples
                .iter()
                .map(|index| inclusion(*index, SIZE, read))
                .collect::<Result<Vec<_>, _>>();
            let middle = used_here()?;
            let proofs = proofs.ok().context("a proof cannot be built")?;
            for (index, proof) in samples.iter().zip(&proofs) {
                let leaf = entry_hash(*index);
                black_box(verify_inclusion(&leaf, *index, SIZE, proof, &root))?;
            }
            verifying += used_here()? - middle;
            proving += middle - begin;
            count += SAMPLES as u32;
        }
        Ok(json!({
            "prove": proving.as_secs_f64() * 1e6 / f64::from(count),
            "verify": verifying.as_secs_f64() * 1e6 / f64::from(count),
            "append": appended,
        }))
    }
}

fn entry_hash(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// Appends all entries and keeps the rows that the proofs of `samples` may read.
fn build(samples: &[u64]) -> Result<(Rows, Hash)> {
    let wanted: HashSet<u64> = samples.iter().map(|index| index / 256).collect();
    let mut rows = Rows::new();
    let mut appender = Appender::new();
    for index in 0..SIZE {
        appender.append(entry_hash(index));
        if index % 65_536 == 0 || index + 1 == SIZE {
            for (id, tile) in appender.take_changed() {
                let is_last = index + 1 == SIZE;
                if id.level() > 0 || is_last || wanted.contains(&id.index()) {
                    rows.insert((id.level(), id.index()), tile.row());
                }
            }
        }
    }
    Ok((rows, appender.root()))
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (mut prove, mut verify) = (Series::default(), Series::default());
    // The log takes longer to build than to prove in: fewer rounds say as much.
    for _ in 0..bench.rounds.min(3) {
        let measured = child::measure(&["proof", "--seconds", &bench.seconds()]).await?;
        prove.push(number(&measured, "prove")?);
        verify.push(number(&measured, "verify")?);
    }
    Ok(vec![
        Row::plain(
            "inclusion proof, 10 million entries, tiles as stored",
            prove,
            "µs",
        )
        .goal(Goal::AtMost(20.0)),
        Row::plain("verifying one", verify, "µs"),
    ])
}
