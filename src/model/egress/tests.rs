use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn list(text: &str) -> AddressList {
    AddressList::parse(text.split(',').filter(|e| !e.is_empty())).unwrap()
}

fn policy(deny: &str, allow: &str, target_allow: &str) -> EgressPolicy {
    EgressPolicy { deny: list(deny), allow: list(allow), target_allow: list(target_allow) }
}

fn denied(policy: &EgressPolicy, address: &str, caller: Caller<'_>) -> Option<String> {
    policy.check(address.parse().unwrap(), caller).err().map(|d| d.to_string())
}

#[test]
fn metadata_and_link_local_addresses_are_denied_by_default_in_whatever_clothes() {
    let policy = EgressPolicy::default();
    for address in [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "febf::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fd00:100::100:200",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "64:ff9b::6464:64c8",
    ] {
        assert!(denied(&policy, address, Caller::Shared).is_some(), "{address}");
        assert!(denied(&policy, address, Caller::Target(None)).is_some(), "{address}");
    }
    for address in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "8.8.8.8",
        "169.253.255.255",
        "169.255.0.0",
        "fec0::1",
        "fd00::1",
        "2001:db8::1",
        "64:ff9b::808:808",
    ] {
        assert_eq!(denied(&policy, address, Caller::Shared), None, "{address}");
    }
}

#[test]
fn the_sentence_names_the_entry_and_what_it_covers() {
    let policy = EgressPolicy::default();
    let said = |address: &str| denied(&policy, address, Caller::Shared).unwrap();
    assert_eq!(said("169.254.169.254"), "denied by metadata (169.254.169.254) in [egress] deny");
    assert_eq!(said("169.254.1.1"), "denied by link-local (169.254.0.0/16) in [egress] deny");
    assert_eq!(
        said("64:ff9b::a9fe:a9fe"),
        "denied by metadata (169.254.169.254) in [egress] deny, since it leads to 169.254.169.254"
    );
    let policy = self::policy("10.0.0.0/8,10.1.2.3,private", "", "");
    assert_eq!(denied(&policy, "10.1.2.3", Caller::Shared).unwrap(), "denied by 10.1.2.3 in [egress] deny");
    assert_eq!(denied(&policy, "10.2.2.3", Caller::Shared).unwrap(), "denied by 10.0.0.0/8 in [egress] deny");
    assert_eq!(denied(&policy, "fd00::7", Caller::Shared).unwrap(), "denied by private (fc00::/7) in [egress] deny");
}

#[test]
fn exceptions_are_for_all_or_for_a_target_as_far_as_targets_may() {
    let policy = policy("private,metadata", "10.1.0.0/16", "10.0.0.0/8");
    let own = list("10.2.0.0/16,metadata");
    let target = Caller::Target(Some(&own));
    assert_eq!(denied(&policy, "10.1.2.3", Caller::Shared), None);
    for (address, is_denied) in
        [("10.1.2.3", false), ("10.2.0.1", false), ("10.3.0.1", true), ("169.254.169.254", true)]
    {
        assert_eq!(denied(&policy, address, target).is_some(), is_denied, "{address}");
    }
    assert!(denied(&policy, "10.2.0.1", Caller::Target(None)).is_some());
    assert!(denied(&policy, "10.2.0.1", Caller::Shared).is_some());
    let mend = |address: &str, caller| policy.check(address.parse().unwrap(), caller).unwrap_err().mend();
    assert!(mend("10.3.0.1", target).contains("the target's egress_allow or"));
    assert!(mend("169.254.169.254", target).contains("the target's egress_allow has it, but [egress] target_allow"));
    assert!(mend("192.168.0.1", target).contains("target_allow does not let the target"));
    assert!(!mend("10.3.0.1", Caller::Shared).contains("target"));
}

#[test]
fn an_exception_for_a_translator_is_none_for_what_is_behind_it() {
    let policy = policy("all", "64:ff9b::/96,8.8.8.8", "");
    assert_eq!(denied(&policy, "64:ff9b::808:808", Caller::Shared), None);
    assert!(denied(&policy, "64:ff9b::a9fe:a9fe", Caller::Shared).unwrap().ends_with("leads to 169.254.169.254"));
    let policy = self::policy("all", "8.8.8.8", "");
    assert!(denied(&policy, "64:ff9b::808:808", Caller::Shared).is_some());
    assert_eq!(denied(&policy, "::ffff:8.8.8.8", Caller::Shared), None, "that is IPv4");
}

#[test]
fn this_machine_is_reached_by_the_unspecified_address_too() {
    for deny in ["loopback", "127.0.0.0/8,::1"] {
        let policy = policy(deny, "", "");
        for address in ["127.0.0.1", "127.255.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"] {
            assert!(denied(&policy, address, Caller::Shared).is_some(), "{deny}: {address}");
        }
    }
    let policy = policy("127.0.0.2", "", "");
    assert_eq!(denied(&policy, "127.0.0.1", Caller::Shared), None);
    assert_eq!(denied(&policy, "0.0.0.0", Caller::Shared), None);
}

#[test]
fn an_empty_list_denies_nothing() {
    for address in ["169.254.169.254", "::", "fe80::1"] {
        assert_eq!(denied(&policy("", "", ""), address, Caller::Shared), None);
    }
}

#[test]
fn entries_are_read_and_written_in_one_way() {
    for (given, kept) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("FD00:EC2::254", "fd00:ec2::254"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("Link-Local", "link-local"),
        ("all", "all"),
    ] {
        assert_eq!(given.parse::<Entry>().unwrap().to_string(), kept, "{given}");
    }
    for (bad, why) in [
        ("10.1.2.3/8", "`10.1.2.3/8` has bits set behind its prefix: write 10.0.0.0/8"),
        ("10.0.0.0/33", "`10.0.0.0/33` has no prefix from 0 to 32 behind its `/`"),
        ("::/129", "`::/129` has no prefix from 0 to 128 behind its `/`"),
        ("10.0.0.0/255.0.0.0", "has no prefix from 0 to 32"),
        ("10.0.0.0/+8", "has no prefix from 0 to 32"),
        ("10.0.0.0/", "has no prefix from 0 to 32"),
        ("link-lokal", "`link-lokal` is not known: did you mean link-local?"),
        ("10.0.0.1-10.0.0.9", "`10.0.0.1-10.0.0.9` is no address: write for example 10.0.0.0/8"),
        ("[::1]", "`[::1]` is no address"),
        ("fe80::1%eth0", "is no address"),
        ("10.0.0", "is no address"),
        ("shop.example", "is neither an address nor one of all, loopback, link-local, metadata, private"),
        ("", "is neither an address"),
    ] {
        let error = bad.parse::<Entry>().unwrap_err();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn each_preset_holds_what_it_says() {
    for (preset, inside, outside) in [
        (Preset::All, vec!["0.0.0.0", "255.255.255.255", "::", "ffff::"], vec![]),
        (
            Preset::Loopback,
            vec!["127.0.0.1", "127.255.255.255", "::1", "0.0.0.0", "::"],
            vec!["128.0.0.1", "0.0.0.1", "::2"],
        ),
        (
            Preset::LinkLocal,
            vec!["169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::"],
            vec!["169.255.0.0", "fec0::"],
        ),
        (Preset::Metadata, vec!["169.254.169.254", "100.100.100.200", "fd00:ec2::254"], vec!["169.254.169.253"]),
        (
            Preset::Private,
            vec!["10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1", "fc00::", "fdff::1"],
            vec!["172.32.0.0", "172.15.255.255", "fe00::"],
        ),
        (Preset::Shared, vec!["100.64.0.0", "100.127.255.255"], vec!["100.128.0.0", "100.63.255.255"]),
        (Preset::Multicast, vec!["224.0.0.1", "239.255.255.255", "ff02::1"], vec!["240.0.0.0", "feff::"]),
        (
            Preset::Reserved,
            vec!["0.1.2.3", "192.0.2.1", "198.19.0.1", "255.255.255.255", "2001:db8::1"],
            vec!["8.8.8.8", "2001:4860::1"],
        ),
    ] {
        let list = AddressList::of([preset]);
        assert!(inside.iter().all(|a| list.contains(a.parse().unwrap())), "{preset}");
        assert!(outside.iter().all(|a| !list.contains(a.parse().unwrap())), "{preset}");
        assert_eq!(preset.as_str().parse::<Entry>(), Ok(Entry::Preset(preset)));
    }
}

/// Networks of all sizes, near each other, so that many lie within others.
fn any_net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0..=32u8)
        .prop_map(|(n, length)| IpNet::new(Ipv4Addr::from_bits(n & 0x0f00_ff0f).into(), length).unwrap().trunc());
    let v6 = (any::<u128>(), 0..=128u8).prop_map(|(n, length)| {
        IpNet::new(Ipv6Addr::from_bits(n & 0xf000_0000_0000_0000_0000_0000_0000_00ff).into(), length).unwrap().trunc()
    });
    prop_oneof![v4, v6]
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(n & 0x0f00_ff0f))),
        any::<u128>().prop_map(|n| IpAddr::from(Ipv6Addr::from_bits(n & 0xf000_0000_0000_0000_0000_0000_0000_00ff))),
        any::<u32>().prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(n))),
        any::<u128>().prop_map(|n| IpAddr::from(Ipv6Addr::from_bits(n))),
    ]
}

proptest! {
    #[test]
    fn the_search_finds_what_a_look_at_each_network_finds(
        nets in proptest::collection::vec(any_net(), 0..40), address in any_address(),
    ) {
        let list = AddressList::new(nets.iter().copied().map(Entry::Network).collect());
        let one_by_one = nets.iter().any(|net| net.contains(&address));
        prop_assert_eq!(list.contains(address), one_by_one);
        prop_assert_eq!(list.entry_of(address).is_some(), one_by_one);
        for net in nets {
            prop_assert!(list.contains(net.network()) && list.contains(net.broadcast()));
        }
    }

    #[test]
    fn a_list_reads_back_as_it_is_written(nets in proptest::collection::vec(any_net(), 1..20)) {
        let list = AddressList::new(nets.into_iter().map(Entry::Network).collect());
        let text = list.to_string();
        let back = AddressList::parse(text.split(',')).unwrap();
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        drop(text.parse::<Entry>());
    }

    /// Whatever is denied as IPv4 is denied in each of its IPv6 forms.
    #[test]
    fn no_clothes_help(n in any::<u32>(), length in 1..=32u8, rest in any::<u16>()) {
        let v4 = Ipv4Addr::from_bits(n);
        let net = IpNet::new(v4.into(), length).unwrap().trunc();
        let policy = EgressPolicy { deny: AddressList::new(vec![Entry::Network(net)]), ..EgressPolicy::default() };
        let [hi, lo] = [(n >> 16) as u16, n as u16];
        for dressed in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, hi, lo),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, hi, lo),
            Ipv6Addr::new(0x2002, hi, lo, rest, rest, 0, 0, rest),
            Ipv6Addr::new(0x2001, 0, rest, rest, 0, 0, !hi, !lo),
            Ipv6Addr::new(0x2001, 0, hi, lo, 0, 0, rest, rest),
        ] {
            prop_assert!(policy.check(dressed.into(), Caller::Shared).is_err(), "{} {}", net, dressed);
        }
        prop_assert!(policy.check(v4.into(), Caller::Shared).is_err());
    }
}
