//! sagewire-transport-reqwest
