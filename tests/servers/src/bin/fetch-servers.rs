//! Makes every server of the tests ready: fetched, unpacked and initialised.

fn main() -> anyhow::Result<()> {
    tailwater_servers::prepare()
}
