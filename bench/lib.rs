//! What the layers cost. The programs are in `benches/`, the figures in `README.md`.
