//! Load tests of endpoints: how long responses take at each level of concurrency or rate, and how they end.

pub mod results;
