//! Whether this process may load BPF programs at all, without trying.

/// Capabilities by their number in `linux/capability.h`.
const NET_ADMIN: (u32, &str) = (12, "CAP_NET_ADMIN");
const SYS_ADMIN: (u32, &str) = (21, "CAP_SYS_ADMIN");
const BPF: (u32, &str) = (39, "CAP_BPF");

/// Says which rights gates 1 and 2 lack in this process; none: it has them.
pub(crate) fn missing_rights() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    missing(&status)
}

fn missing(status: &str) -> Option<String> {
    let line = status.lines().find_map(|it| it.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    let has = |(number, _): (u32, &str)| effective >> number & 1 == 1;
    // CAP_SYS_ADMIN includes what CAP_BPF was split off from.
    let bpf = has(BPF) || has(SYS_ADMIN);
    let lacking = [(NET_ADMIN.1, has(NET_ADMIN)), (BPF.1, bpf)];
    let names: Vec<_> = lacking.iter().filter(|it| !it.1).map(|it| it.0).collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(" and ");
    Some(format!("this process has no {names}; run it as root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_lacks_nothing() {
        assert_eq!(missing("Name:\tx\nCapEff:\t000001ffffffffff\n"), None);
    }

    #[test]
    fn a_user_lacks_both_rights() {
        let why = missing("CapEff:\t0000000000000000\n").expect("something is missing");
        assert!(why.contains("CAP_NET_ADMIN and CAP_BPF"), "{why}");
    }

    #[test]
    fn a_container_with_net_admin_lacks_bpf() {
        let why = missing("CapEff:\t0000000000001000\n").expect("something is missing");
        assert!(why.contains("no CAP_BPF"), "{why}");
    }
}
