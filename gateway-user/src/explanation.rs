//! Questions about requests as they are asked, and explanations for people.

mod question;
mod text;

pub(crate) use self::question::{Asked, Detail};
pub(crate) use self::text::draw;
