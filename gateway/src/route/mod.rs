//! From a model to an endpoint that responds.

pub(crate) mod attempt;
mod budget;
mod cooldown;
pub(crate) mod group;
mod upstream;

pub(crate) use group::{Deployment, Group, Groups, Kept};
pub(crate) use upstream::Upstream;
