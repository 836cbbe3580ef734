//! Everything a node decides, without I/O.
