//! Serves the demo provider until it is interrupted: `cargo run -p grantkeep-demo-provider --example serve -- [PORT]`

use std::error::Error;

use grantkeep_demo_provider::DemoProvider;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;

    let provider = DemoProvider::start_on(port).await?;
    println!("{}", provider.origin());

    std::future::pending().await
}
