//! Our layers beside their peers. The programs are in `benches/`, the figures in `bench/README.md`.
