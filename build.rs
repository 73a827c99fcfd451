//! Links the addon against what the host process provides.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
