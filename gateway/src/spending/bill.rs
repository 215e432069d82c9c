//! What a job comes to before it is run, and why it may not. Pure.

use proto::{
    Backend,
    failure::FailureCode,
    money::{Cost, MicroDollars},
    v1::Estimate,
};

use super::Spender;
use crate::problem::Problem;

/// What a job comes to before it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bill {
    /// It is not about money.
    Nothing,
    /// It costs nothing, of a service that may cost money and is closed as a whole.
    Gratis,
    /// This is set aside.
    Amount {
        /// How much.
        amount: MicroDollars,
        /// The vendor's name for what is paid for.
        model: String,
        /// How the amount comes about, for a person.
        basis: String,
    },
    /// It costs money, and nobody says how much may be set aside.
    Unpriced {
        /// The vendor's name for what is paid for.
        model: String,
    },
}

impl Bill {
    /// `unpriced` is set aside where the price table has no price.
    pub fn of(backend: Backend, cost: &Cost, unpriced: Option<MicroDollars>) -> Self {
        match (cost, unpriced) {
            (Cost::Free, _) if is_closed_by_default(backend) => Self::Gratis,
            (Cost::Free, _) => Self::Nothing,
            (Cost::Priced(price), _) => Self::Amount {
                amount: price.amount,
                model: price.model.clone(),
                basis: price.basis.clone(),
            },
            (Cost::Unpriced { model }, Some(amount)) => Self::Amount {
                amount,
                model: model.clone(),
                basis: format!("the price table has no price for {model}; this is paid.unpriced"),
            },
            (Cost::Unpriced { model }, None) => Self::Unpriced { model: model.clone() },
        }
    }

    /// What is set aside, and for what.
    pub fn amount(&self) -> Option<(MicroDollars, &str)> {
        match self {
            Self::Amount { amount, model, .. } => Some((*amount, model)),
            Self::Nothing | Self::Gratis | Self::Unpriced { .. } => None,
        }
    }

    /// What is told to who asks beforehand, without a refusal.
    pub fn estimate(&self) -> Option<Estimate> {
        let (amount, text, basis) = match self {
            Self::Nothing => return None,
            Self::Gratis => (MicroDollars::ZERO, None, "no model runs".to_owned()),
            Self::Amount { amount, basis, .. } => (*amount, None, basis.clone()),
            Self::Unpriced { model } => (
                MicroDollars::ZERO,
                Some("not known".to_owned()),
                format!("the price table has no price for {model}"),
            ),
        };
        Some(Estimate {
            microdollars: amount.0,
            text: text.unwrap_or_else(|| amount.to_string()),
            basis,
            ..Estimate::default()
        })
    }

    /// Why it is refused before any budget is looked at.
    pub fn refusal(&self, backend: Backend, spender: &Spender) -> Option<Problem> {
        if *self == Self::Nothing {
            return None;
        }
        if !spender.may_spend {
            return Some(self.disabled(backend));
        }
        let Self::Unpriced { model } = self else {
            return None;
        };
        let detail = format!(
            "the price table has no price for {model}, and paid.unpriced says nothing of what to set aside for it"
        );
        Some(Problem::new(FailureCode::SpendUnpriced, detail))
    }

    fn disabled(&self, backend: Backend) -> Problem {
        let backend = backend.as_str_name();
        let cost = match self {
            Self::Nothing | Self::Gratis => {
                format!("{backend} is closed as a whole, although this costs nothing")
            }
            Self::Amount { amount, model, .. } => format!("this would cost {amount} ({model})"),
            Self::Unpriced { model } => format!("this would cost money, nobody knows how much ({model})"),
        };
        let detail = format!(
            "generation that costs money is switched off: paid.allow (ALLOW_GENERATION) is not true; {cost}"
        );
        Problem::new(FailureCode::GenerationDisabled, detail)
    }
}

/// Services at which a person has an account that pays.
const fn is_closed_by_default(backend: Backend) -> bool {
    match backend {
        Backend::Flux | Backend::V0 => true,
        Backend::Unspecified | Backend::Sketch | Backend::Comfyui => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::money::Price;

    const FOUR_CENTS: MicroDollars = MicroDollars(40_000);

    fn priced() -> Cost {
        Cost::Priced(Price {
            amount: FOUR_CENTS,
            model: "flux-2-pro".into(),
            basis: "1 MP".into(),
        })
    }

    fn unpriced() -> Cost {
        Cost::Unpriced {
            model: "flux-new".into(),
        }
    }

    fn may_spend(may_spend: bool) -> Spender {
        Spender {
            may_spend,
            ..Spender::default()
        }
    }

    /// Code and detail of what refuses it; empty where it is taken.
    fn refusal(backend: Backend, cost: &Cost, set_aside: Option<MicroDollars>, spender: &Spender) -> String {
        let refusal = Bill::of(backend, cost, set_aside).refusal(backend, spender);
        refusal.map(|problem| problem.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_costs_money_is_refused_while_it_is_switched_off() {
        let nobody = may_spend(false);
        for (backend, cost, told) in [
            (Backend::Flux, priced(), "this would cost $0.04 (flux-2-pro)"),
            (
                Backend::Flux,
                unpriced(),
                "this would cost money, nobody knows how much (flux-new)",
            ),
            (Backend::Comfyui, unpriced(), "nobody knows how much (flux-new)"),
            (
                Backend::V0,
                Cost::Free,
                "v0 is closed as a whole, although this costs nothing",
            ),
        ] {
            let refusal = refusal(backend, &cost, None, &nobody);
            assert!(refusal.starts_with("generation_disabled: "), "{refusal}");
            assert!(refusal.contains("paid.allow (ALLOW_GENERATION)"), "{refusal}");
            assert!(refusal.ends_with(told), "{refusal}");
        }
        for backend in [Backend::Sketch, Backend::Comfyui] {
            assert_eq!(refusal(backend, &Cost::Free, None, &nobody), "");
        }
    }

    #[test]
    fn without_a_price_the_setting_decides() {
        let anybody = may_spend(true);
        let refused = refusal(Backend::Flux, &unpriced(), None, &anybody);
        assert!(refused.starts_with("spend_unpriced: "), "{refused}");
        assert!(
            refused.contains("flux-new") && refused.contains("paid.unpriced"),
            "{refused}"
        );
        let bill = Bill::of(Backend::Flux, &unpriced(), Some(FOUR_CENTS));
        assert_eq!(bill.refusal(Backend::Flux, &anybody), None);
        assert_eq!(bill.amount(), Some((FOUR_CENTS, "flux-new")));
        let estimate = bill.estimate().expect("an estimate");
        assert_eq!((estimate.microdollars, estimate.text.as_str()), (40_000, "$0.04"));
        assert!(estimate.basis.contains("paid.unpriced"), "{estimate:?}");
    }

    #[test]
    fn an_estimate_is_given_wherever_it_is_about_money() {
        let estimate = |backend, cost| Bill::of(backend, &cost, None).estimate();
        assert_eq!(estimate(Backend::Sketch, Cost::Free), None);
        let told = |backend, cost| {
            let estimate = estimate(backend, cost).expect("an estimate");
            (estimate.microdollars, estimate.text, estimate.basis)
        };
        assert_eq!(
            told(Backend::Flux, priced()),
            (40_000, "$0.04".to_owned(), "1 MP".to_owned())
        );
        assert_eq!(told(Backend::V0, Cost::Free).1, "$0.00");
        assert_eq!(told(Backend::Flux, unpriced()).1, "not known");
    }
}
