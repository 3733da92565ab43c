//! Tests over sockets.

mod answers;
mod asynchronous;
mod boto3;
mod bounds;
mod client;
mod container;
mod containers;
<<<<<<< HEAD
mod hostile;
=======
mod gateway;
>>>>>>> 85d0944 (Routes of vLLM's images, the model of requests, other services than SageMaker Runtime)
mod import_cycles;
mod openai;
mod recordings;
mod signatures;
mod upstream;
