//! Who may spend money, and how much: the settings alone decide, as long as there are no keys.

use proto::{ledger::Budgets, money::MicroDollars};

use crate::settings::Reader;

/// Who may spend money, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PaidSettings {
    /// Whether jobs that cost money are accepted (gateway) and run (worker).
    pub allow: bool,
    /// What may be spent.
    pub budgets: Budgets,
    /// What is set aside for a job for which the price table has no price; such jobs are refused if absent.
    pub unpriced: Option<MicroDollars>,
}

impl PaidSettings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            allow: reader.get(
                "paid.allow",
                "false",
                "whether jobs that cost money are accepted by the gateway and run by the worker",
            ),
            budgets: Budgets {
                total: reader.optional("paid.budget_total", "what may be spent in all, in US dollars"),
                day: Some(reader.get(
                    "paid.budget_day",
                    "10.00",
                    "what may be spent on one day (UTC), in US dollars",
                )),
                key: reader.optional(
                    "paid.budget_key",
                    "what may be spent with one API key, in US dollars",
                ),
            },
            unpriced: reader.optional(
                "paid.unpriced",
                "what is set aside for a job that the price table has no price for; refused if absent",
            ),
        }
    }
}
