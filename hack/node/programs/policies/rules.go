package main

import (
	"fmt"
	"sort"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const tableName = "inet fineline_policies"

type cluster struct {
	pods       []*core.Pod
	namespaces []*core.Namespace
	policies   []*networking.NetworkPolicy
}

// A policy's ingress and egress rules say the same of the two ends of a connection.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

// table is the whole of the firewall's table. Answers of allowed connections pass; a pod that policies select has a
// chain for each direction, which is left where a rule allows the packet, and which drops it at its end. What the node
// itself sends (the kubelet's probes) is not looked at.
func (c cluster) table() string {
	var chains, ingress, egress []string
	for _, pod := range c.addressed() {
		for _, direction := range []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress} {
			rules, isolated := c.rulesFor(pod, direction)
			if !isolated {
				continue
			}
			name := strings.ToLower(string(direction)) + "_" + strings.ReplaceAll(pod.Status.PodIP, ".", "_")
			chains = append(chains, fmt.Sprintf("  chain %s {\n%s    drop\n  }\n", name, c.allowed(pod, direction, rules)))
			if direction == networking.PolicyTypeIngress {
				ingress = append(ingress, fmt.Sprintf("    ip daddr %s jump %s\n", pod.Status.PodIP, name))
			} else {
				egress = append(egress, fmt.Sprintf("    ip saddr %s jump %s\n", pod.Status.PodIP, name))
			}
		}
	}
	return fmt.Sprintf(`table %[1]s
delete table %[1]s
table %[1]s {
%[2]s  chain egress {
%[3]s  }
  chain ingress {
%[4]s  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ct state established,related accept
    jump egress
    jump ingress
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    ct state established,related accept
    jump egress
  }
}
`, tableName, strings.Join(chains, ""), strings.Join(egress, ""), strings.Join(ingress, ""))
}

// addressed are the pods that have an address of their own, in an order that does not change.
func (c cluster) addressed() []*core.Pod {
	var pods []*core.Pod
	for _, pod := range c.pods {
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended {
			pods = append(pods, pod)
		}
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].Status.PodIP < pods[j].Status.PodIP })
	return pods
}

// rulesFor are the rules of all policies that select the pod, and whether there is such a policy.
func (c cluster) rulesFor(pod *core.Pod, direction networking.PolicyType) (rules []rule, isolated bool) {
	policies := append([]*networking.NetworkPolicy(nil), c.policies...)
	sort.Slice(policies, func(i, j int) bool {
		return policies[i].Namespace+"/"+policies[i].Name < policies[j].Namespace+"/"+policies[j].Name
	})
	for _, policy := range policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		for _, named := range policy.Spec.PolicyTypes {
			if named != direction {
				continue
			}
			isolated = true
			if direction == networking.PolicyTypeIngress {
				for _, one := range policy.Spec.Ingress {
					rules = append(rules, rule{one.From, one.Ports})
				}
			} else {
				for _, one := range policy.Spec.Egress {
					rules = append(rules, rule{one.To, one.Ports})
				}
			}
		}
	}
	return rules, isolated
}

func (c cluster) allowed(pod *core.Pod, direction networking.PolicyType, rules []rule) string {
	// A port's name is one of the pod that is connected to: this one, or with egress the other, where that is a pod.
	side, connected := "saddr", func(*core.Pod) *core.Pod { return pod }
	if direction == networking.PolicyTypeEgress {
		side, connected = "daddr", func(other *core.Pod) *core.Pod { return other }
	}
	var written strings.Builder
	allow := func(peer string, other *core.Pod, ports []networking.NetworkPolicyPort) {
		for _, port := range portMatches(ports, connected(other)) {
			fmt.Fprintf(&written, "    %s\n", strings.Join(strings.Fields(peer+" "+port+" return"), " "))
		}
	}
	for _, one := range rules {
		if len(one.peers) == 0 {
			allow("", nil, one.ports)
		}
		for _, peer := range one.peers {
			if peer.IPBlock != nil {
				if block := blockMatch(side, peer.IPBlock); block != "" {
					allow(block, nil, one.ports)
				}
				continue
			}
			for _, other := range c.peerPods(peer, pod.Namespace) {
				allow(fmt.Sprintf("ip %s %s", side, other.Status.PodIP), other, one.ports)
			}
		}
	}
	return written.String()
}

// peerPods are those of the policy's own namespace where the peer names none.
func (c cluster) peerPods(peer networking.NetworkPolicyPeer, own string) []*core.Pod {
	namespaces := map[string]bool{own: peer.NamespaceSelector == nil}
	if peer.NamespaceSelector != nil {
		for _, namespace := range c.namespaces {
			namespaces[namespace.Name] = selects(peer.NamespaceSelector, namespace.Labels)
		}
	}
	var pods []*core.Pod
	for _, pod := range c.addressed() {
		if namespaces[pod.Namespace] && (peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// blockMatch is nothing for a block of IPv6, which the node does not have.
func blockMatch(side string, block *networking.IPBlock) string {
	if strings.Contains(block.CIDR, ":") {
		return ""
	}
	match := fmt.Sprintf("ip %s %s", side, block.CIDR)
	if len(block.Except) > 0 {
		match += fmt.Sprintf(" ip %s != { %s }", side, strings.Join(block.Except, ", "))
	}
	return match
}

// portMatches has one entry for each port, and an empty one where all are allowed. A named port that the connected pod
// does not have allows nothing.
func portMatches(ports []networking.NetworkPolicyPort, served *core.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var matches []string
	for _, port := range ports {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		word := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			matches = append(matches, "meta l4proto "+word)
		case port.Port.Type == intstr.String:
			for _, number := range numbersOf(port.Port.StrVal, protocol, served) {
				matches = append(matches, fmt.Sprintf("%s dport %d", word, number))
			}
		case port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d", word, port.Port.IntVal, *port.EndPort))
		default:
			matches = append(matches, fmt.Sprintf("%s dport %d", word, port.Port.IntVal))
		}
	}
	return matches
}

func numbersOf(name string, protocol core.Protocol, served *core.Pod) []int32 {
	var numbers []int32
	if served == nil {
		return nil
	}
	for _, container := range served.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == core.ProtocolTCP) {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

func selects(selector *meta.LabelSelector, of map[string]string) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of)) // the API server lets no selector pass that can't be parsed
}
