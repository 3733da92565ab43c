//! sagewire-emulator
