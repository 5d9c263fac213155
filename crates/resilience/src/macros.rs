//! What every layer writes the same way.

/// `reject_with` and `box_errors` of a layer, or a service, whose last type parameter and field are its `Reject`. The fields named are
/// the others.
macro_rules! reject_methods {
    ($layer:ident $(<$($param:ident),+>)? { $($field:ident),* $(,)? } $(, $doc:literal)?) => {
        impl<$($($param,)+)? R> $layer<$($($param,)+)? R> {
            /// Answers with what `respond` makes of the [`Rejection`](bartizan_core::Rejection), instead of failing.
            $(
                ///
                #[doc = $doc]
            )?
            pub fn reject_with<F, Answer>(self, respond: F) -> $layer<$($($param,)+)? bartizan_core::RespondWith<F>>
            where
                // So that a closure need not name the type of its argument.
                F: Fn(bartizan_core::Rejection) -> Answer,
            {
                $layer {
                    $($field: self.$field,)*
                    reject: bartizan_core::RespondWith(respond),
                }
            }

            /// Fails with a [`BoxError`](bartizan_core::BoxError), over a service whose own error cannot be made from a
            /// [`Rejection`](bartizan_core::Rejection): those of reqwest, tonic and hyper-util.
            pub fn box_errors(self) -> $layer<$($($param,)+)? bartizan_core::BoxErrors> {
                $layer {
                    $($field: self.$field,)*
                    reject: bartizan_core::BoxErrors,
                }
            }
        }
    };
}

/// Access to the `inner` service of a service, whose first type parameter is that service's type.
macro_rules! inner_accessors {
    ($service:ident <S $(, $param:ident)*>) => {
        impl<S $(, $param)*> $service<S $(, $param)*> {
            /// The service within.
            pub const fn get_ref(&self) -> &S {
                &self.inner
            }

            /// The service within. Calls made through it pass this one by.
            pub const fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }

            /// Unwraps the service.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }
    };
}
