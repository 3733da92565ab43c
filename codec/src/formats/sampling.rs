//! Values of parameters as targets accept them: numbers, limits, and sampling.

use alloc::format;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::json::{Json, Object, write_number};
use crate::model::{Outcome, Param, ZeroTemperature};

impl Conversion<'_, '_> {
    /// Writes the model, if the request has one.
    pub(crate) fn write_model(&self, object: &mut Object<'_>) {
        if let Some(model) = &self.request.model {
            object.string("model", &model.value);
        }
    }

    /// Appends a number, as the source spells it if it comes from there.
    pub(crate) fn number(&self, number: Param<f64>, out: &mut Vec<u8>) {
        match self.spelling(number) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => write_number(number.value, out),
        }
    }

    fn spelling(&self, number: Param<f64>) -> Option<&str> {
        let rest = self.request.source.get(number.offset? as usize..)?;
        let text = rest.get(Json::new(rest.as_bytes(), 0, 0).skip().ok()?)?;
        (text.parse() == Ok(number.value)).then_some(text)
    }

    /// The nearest number in the range that the target accepts.
    pub(crate) fn clamped(
        &self,
        number: Param<f64>,
        name: &'static str,
        (min, max): (f64, f64),
    ) -> Param<f64> {
        let value = number.value.clamp(min, max);
        if value == number.value {
            return number;
        }
        self.report(number.offset, name, Outcome::Clamped, format!("has to be from {min} to {max}"));
        Param::new(value)
    }

    /// The maximum number of generated tokens: the request's, at least 1, or the one of the options.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        let Some(tokens) = self.request.max_tokens else {
            let default = self.options.max_tokens?;
            let why = format!("the request has no limit; the default of {default} is used");
            self.report(None, "max_tokens", Outcome::Defaulted, why);
            return Some(default);
        };
        if tokens.value == 0 {
            self.report(tokens.offset, "max_tokens", Outcome::Clamped, "has to be 1 or more");
        }
        Some(tokens.value.max(1))
    }

    /// The temperature for APIs without `do_sample`: without sampling it is 0.
    pub(crate) fn temperature(&self) -> Option<Param<f64>> {
        match self.request.do_sample {
            Some(Param { value: false, offset })
                if self.request.temperature.is_none_or(|temperature| temperature.value == 1.0) =>
            {
                Some(Param { value: 0.0, offset })
            }
            _ => self.request.temperature,
        }
    }

    /// Whether any of these is wanted.
    pub(crate) fn wants(&self, parameters: &[Option<Param<bool>>]) -> bool {
        parameters.iter().flatten().any(|param| param.value)
    }
}

/// Writes the temperature and `do_sample` for containers that sample only on request and refuse a temperature of 0.
pub(crate) fn sampling(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let mut do_sample = c.request.do_sample.map(|param| param.value);
    match c.request.temperature {
        Some(zero) if zero.value <= 0.0 => match c.options.zero_temperature {
            ZeroTemperature::Greedy => do_sample = Some(false),
            ZeroTemperature::Clamp => {
                c.report(zero.offset, "temperature", Outcome::Clamped, "has to be above 0");
                object.raw(name, "0.01");
            }
            ZeroTemperature::Send => c.number(zero, object.name(name)),
        },
        Some(temperature) => {
            c.number(temperature, object.name(name));
            do_sample = do_sample.or(Some(true));
        }
        None => {}
    }
    if let Some(do_sample) = do_sample {
        object.bool("do_sample", do_sample);
    }
}

/// Writes `top_k` for containers in which -1 means no filter, and which refuse 0.
pub(crate) fn top_k(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    match c.request.top_k {
        Some(Param { value: top_k @ 1.., .. }) => object.integer(name, top_k.unsigned_abs()),
        Some(_) => object.raw(name, "-1"),
        None => {}
    }
}
