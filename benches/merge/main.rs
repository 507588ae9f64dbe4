//! Merging a lake: `tailwater apply --once` of the changes of `bench.orders` (20 columns, about 1.5 million changes) into
//! SQLite, PostgreSQL and the stand-in of Redshift, by turns, in one run; then what a tick asks of Redshift as tables
//! grow.
//!
//! The stand-in is a PostgreSQL behind a server that reads the files itself, so its rate says what Tailwater does not cost,
//! not what a cluster does.
//!
//! `cargo bench --bench merge -- [--runs N] [--quick]`

#[path = "../data.rs"]
mod data;
#[path = "../measure.rs"]
mod measure;
mod place;
mod ticks;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use tailwater_proof::compare::{Table, check_log, row_count};
use tailwater_servers::Mysql;

use data::Size;
use measure::{Figures, measure, median};
use place::{Place, Product};

/// Times that each warehouse is filled when nothing else is asked.
const RUNS: usize = 3;

#[derive(Debug, Parser)]
struct Arguments {
    /// Times that each warehouse is filled.
    #[arg(long, default_value_t = RUNS)]
    runs: usize,
    /// A fiftieth of the data: shows that everything works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filled = data::on_server(arguments.quick, |runtime, mysql, size| throughput(&arguments, runtime, mysql, size));
    measure::ended(filled.and_then(|()| ticks::report(arguments.quick)).map(|()| true))
}

/// Fills each warehouse from a lake of its own, which is made before.
fn throughput(arguments: &Arguments, runtime: &tokio::runtime::Runtime, mysql: &Mysql, size: Size) -> Result<()> {
    let table = Table { database: "bench".to_owned(), name: "orders".to_owned(), global_key: false };
    let expected = size.orders_inserts - size.orders_deletes;
    let mut places = Product::ALL.map(Place::start).into_iter().collect::<Result<Vec<_>>>()?;
    let mut changes = 0;
    for place in &places {
        place.extract(&[("s1", mysql)], "bench.orders")?;
        changes = check_log(&place.lake())?.iter().map(|log| log.rows).sum();
        eprintln!("{}: {changes} changes in the lake", place.product.name());
    }
    let mut taken: Vec<(Product, Figures)> = Vec::new();
    for run in 1..=arguments.runs {
        for place in &mut places {
            let warehouse = place.fresh_warehouse()?;
            let figures = measure(&mut place.apply(&[("s1", mysql)], "bench.orders", &warehouse)?)?;
            let found = runtime.block_on(row_count(&warehouse, &table))?;
            ensure!(found == expected, "{}: {found} rows of {expected}", place.product.name());
            eprintln!("run {run}: {:10} {figures}", place.product.name());
            taken.push((place.product, figures));
        }
    }
    println!(
        "\n| warehouse | n | wall s, median | changes/s | CPU s of tailwater | peak RSS MiB |\n|---|---|---|---|---|---|"
    );
    for product in Product::ALL {
        let runs: Vec<&Figures> = taken.iter().filter(|(p, _)| *p == product).map(|(_, f)| f).collect();
        let seconds = median(runs.iter().map(|f| f.wall_seconds));
        println!(
            "| {} | {} | {seconds:.2} | {:.0} k | {:.2} | {} |",
            product.name(),
            runs.len(),
            changes as f64 / 1e3 / seconds,
            median(runs.iter().map(|f| f.cpu_seconds())),
            runs.iter().map(|f| f.rss_bytes).max().unwrap_or(0) >> 20,
        );
    }
    Ok(())
}
