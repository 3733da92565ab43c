//! Setters of options.

/// Defines a setter for each field: `name(argument: Type) => value`, or `name: Type` for a value as it is.
macro_rules! setters {
    ($($name:ident($argument:ident: $type:ty) => $value:expr;)*) => {
        $(
            #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
            #[must_use]
            pub fn $name(mut self, $argument: $type) -> Self {
                self.$name = $value;
                self
            }
        )*
    };
}

pub(crate) use setters;
