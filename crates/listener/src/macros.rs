//! What every request layer writes the same way.

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
