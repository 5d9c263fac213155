//! Revocation, over both ends.
