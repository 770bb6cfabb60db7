//! The room `agents`: registration, versions and their review, the life of an agent, the stop.

mod life;
mod register;
mod stop;
mod update;
mod verify;
