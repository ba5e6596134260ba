package main

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(namespace, name, address string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       core.PodSpec{Containers: []core.Container{{Ports: []core.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status:     core.PodStatus{PodIP: address, Phase: core.PodRunning},
	}
}

func app(name string) *meta.LabelSelector {
	return &meta.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func seen(spec networking.NetworkPolicySpec) cluster {
	ended := pod("ours", "client", "10.0.0.9")
	ended.Status.Phase = core.PodSucceeded
	return cluster{
		pods: []*core.Pod{pod("ours", "server", "10.0.0.1"), pod("ours", "client", "10.0.0.2"), pod("theirs", "client", "10.0.0.3"), ended},
		namespaces: []*core.Namespace{
			{ObjectMeta: meta.ObjectMeta{Name: "ours"}},
			{ObjectMeta: meta.ObjectMeta{Name: "theirs", Labels: map[string]string{"team": "theirs"}}},
		},
		policies: []*networking.NetworkPolicy{{ObjectMeta: meta.ObjectMeta{Namespace: "ours", Name: "p"}, Spec: spec}},
	}
}

func ingress(peer *networking.NetworkPolicyPeer, ports ...networking.NetworkPolicyPort) networking.NetworkPolicySpec {
	one := networking.NetworkPolicyIngressRule{Ports: ports}
	if peer != nil {
		one.From = []networking.NetworkPolicyPeer{*peer}
	}
	return networking.NetworkPolicySpec{
		PodSelector: *app("server"), PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress},
		Ingress: []networking.NetworkPolicyIngressRule{one},
	}
}

func egress(peer networking.NetworkPolicyPeer, ports ...networking.NetworkPolicyPort) networking.NetworkPolicySpec {
	return networking.NetworkPolicySpec{
		PodSelector: *app("client"), PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress},
		Egress: []networking.NetworkPolicyEgressRule{{To: []networking.NetworkPolicyPeer{peer}, Ports: ports}},
	}
}

func TestAPodsChainHasWhatThePolicyAllowsAndThenDrops(t *testing.T) {
	number, name := intstr.FromInt32(53), intstr.FromString("http")
	udp, last := core.ProtocolUDP, int32(60)
	theirs := &networking.NetworkPolicyPeer{NamespaceSelector: &meta.LabelSelector{MatchLabels: map[string]string{"team": "theirs"}}}
	for what, one := range map[string]struct {
		spec networking.NetworkPolicySpec
		want string
	}{
		"anyone, any port": {ingress(nil), "chain ingress_10_0_0_1 { return drop }"},
		"nobody": {networking.NetworkPolicySpec{PodSelector: *app("server"), PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress}},
			"chain ingress_10_0_0_1 { drop }"},
		"pods of the own namespace": {ingress(&networking.NetworkPolicyPeer{PodSelector: app("client")}),
			"chain ingress_10_0_0_1 { ip saddr 10.0.0.2 return drop }"},
		"a namespace by its labels": {ingress(theirs), "chain ingress_10_0_0_1 { ip saddr 10.0.0.3 return drop }"},
		"a named port of the pod itself": {ingress(theirs, networking.NetworkPolicyPort{Port: &name}),
			"chain ingress_10_0_0_1 { ip saddr 10.0.0.3 tcp dport 8080 return drop }"},
		"a range of ports": {ingress(nil, networking.NetworkPolicyPort{Port: &number, Protocol: &udp, EndPort: &last}),
			"chain ingress_10_0_0_1 { udp dport 53-60 return drop }"},
		"a block with a hole": {egress(networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.9.0.0/16"}}}),
			"chain egress_10_0_0_2 { ip daddr 10.0.0.0/8 ip daddr != { 10.9.0.0/16 } return drop }"},
		"a named port of the other pod": {egress(networking.NetworkPolicyPeer{PodSelector: app("server")}, networking.NetworkPolicyPort{Port: &name}),
			"chain egress_10_0_0_2 { ip daddr 10.0.0.1 tcp dport 8080 return drop }"},
	} {
		if got := strings.Join(strings.Fields(seen(one.spec).table()), " "); !strings.Contains(got, one.want) {
			t.Errorf("%s: want %q in %s", what, one.want, got)
		}
	}
}

func TestAPodThatNoPolicySelectsHasNoChain(t *testing.T) {
	got := seen(ingress(nil)).table()
	if strings.Contains(got, "10_0_0_2") || strings.Contains(got, "10_0_0_3") || strings.Contains(got, "10.0.0.9") {
		t.Error(got)
	}
}
