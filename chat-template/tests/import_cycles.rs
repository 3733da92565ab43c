//! No import cycles between the source files of this crate.

#[path = "../../emulator/tests/it/import_cycles.rs"]
mod import_cycles;
