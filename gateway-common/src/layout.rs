//! The bridge from the shared types to the user-space map library.
//!
//! `bytemuck::Pod` proves at compile time that a type has no padding and no invalid bit pattern; the macro only repeats
//! that promise in the words of the other library.

/// Declares that shared types may be keys and values of maps in user space.
#[macro_export]
macro_rules! map_types {
    ($($name:ty),+ $(,)?) => {
        $(
            #[cfg(feature = "user")]
            const _: () = {
                const fn requires_plain_data<T: bytemuck::Pod>() {}
                requires_plain_data::<$name>();
            };
            #[cfg(feature = "user")]
            #[expect(unsafe_code, reason = "aya's marker trait is unsafe to implement")]
            // SAFETY: the constant above compiles only if the type is bytemuck::Pod: no padding, any bytes valid.
            unsafe impl aya::Pod for $name {}
        )+
    };
}
