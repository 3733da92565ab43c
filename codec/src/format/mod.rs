//! The chat formats. Each is read into and written from the canonical model of [`chat`](crate::chat); none knows
//! another.

pub mod bedrock;
pub mod openai;
