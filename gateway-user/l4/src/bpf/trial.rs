//! Runs the loaded programs on a packet that is on no wire.

use std::time::Duration;

use aya::programs::{ProgramError, SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp};

use super::{EGRESS, FLOOR, INGRESS, Programs, XDP};

/// More than any answer adds to its question.
const GROWTH: usize = 256;

/// One of the packet programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Native XDP.
    Xdp,
    /// tcx ingress.
    Ingress,
    /// tcx egress.
    Egress,
    /// A program that does nothing: what a run costs by itself.
    Floor,
}

/// What a program made of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The hook's own number: `XDP_…` or `TC_ACT_…`.
    pub returned: u32,
    /// The packet afterwards.
    pub frame: Vec<u8>,
    /// Mean time of a run, as the kernel measured it.
    pub duration: Duration,
}

impl Programs {
    /// Runs a program a number of times on a copy of a packet, as if loopback had received it.
    pub(crate) fn run(
        &self,
        program: Program,
        frame: &[u8],
        repeat: u32,
    ) -> Result<Trial, ProgramError> {
        let mut output = vec![0; frame.len() + GROWTH];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            repeat,
            ..TestRunOptions::default()
        };
        let result: TestRunResult = match program {
            Program::Floor => <&Xdp>::try_from(self.named(FLOOR)?)?.test_run(options)?,
            Program::Xdp => <&Xdp>::try_from(self.named(XDP)?)?.test_run(options)?,
            Program::Ingress => {
                <&SchedClassifier>::try_from(self.named(INGRESS)?)?.test_run(options)?
            }
            Program::Egress => {
                <&SchedClassifier>::try_from(self.named(EGRESS)?)?.test_run(options)?
            }
        };
        output.truncate(usize::try_from(result.data_size_out).unwrap_or_default());
        Ok(Trial {
            returned: result.return_value,
            frame: output,
            duration: result.duration,
        })
    }

    fn named(&self, name: &str) -> Result<&aya::programs::Program, ProgramError> {
        self.object.program(name).ok_or(ProgramError::NotLoaded)
    }
}
