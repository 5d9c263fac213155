//! The programs of the cookbook. Run one with `cargo run --example failover`.
