//! Gate 1's maps as the kernel has them.

use std::fmt;

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError};
use gateway_common::announce::{Answer, AnswerKey, Claim};

use super::maps::{absent_is_fine, error, take};
use crate::ApplyError;

/// Handles of the maps that say what may be answered, and who else claims it.
pub(crate) struct AnswerMaps {
    answers: HashMap<MapData, AnswerKey, Answer>,
    claims: HashMap<MapData, AnswerKey, Claim>,
}

// The library's handles do not print themselves.
impl fmt::Debug for AnswerMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerMaps").finish_non_exhaustive()
    }
}

impl AnswerMaps {
    pub(super) fn take(object: &mut Ebpf) -> Result<Self, MapError> {
        Ok(Self {
            answers: take(object, "ANSWERS")?.try_into()?,
            claims: take(object, "CLAIMS")?.try_into()?,
        })
    }

    pub(crate) fn answer(&mut self, key: AnswerKey, answer: Answer) -> Result<(), ApplyError> {
        self.answers
            .insert(key, answer, 0)
            .map_err(error("ANSWERS"))
    }

    pub(crate) fn silence(&mut self, key: &AnswerKey) -> Result<(), ApplyError> {
        absent_is_fine(self.answers.remove(key)).map_err(error("ANSWERS"))
    }

    /// Forgets what may be answered on an interface.
    pub(crate) fn forget(&mut self, interface: u32) -> Result<(), ApplyError> {
        let keys: Result<Vec<AnswerKey>, MapError> = self.answers.keys().collect();
        for key in keys.map_err(error("ANSWERS"))? {
            if key.interface() == interface {
                self.silence(&key)?;
            }
        }
        Ok(())
    }

    /// What other machines have claimed.
    pub(crate) fn claims(&self) -> Result<Vec<(AnswerKey, Claim)>, ApplyError> {
        let claims: Result<_, MapError> = self.claims.iter().collect();
        claims.map_err(error("CLAIMS"))
    }
}
