{{- /*
What values.schema.json can't say: values that make no sense together. Each comes with its path, what is wrong with it and
what to do; all are told at once. A list in JSON, empty where all is well.
*/ -}}

{{- define "fineline.refused" -}}
{{- $values := .Values -}}
{{- $told := list -}}
{{- $fullname := include "fineline.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) -}}
{{- $told = append $told (printf "the release's name: all names would start with %s, and a Service's starts with a letter and has no dots: choose another, or set fullnameOverride" $fullname) -}}
{{- end -}}
{{- range $name, $image := $values.images -}}
{{- if and $image.tag $image.digest -}}
{{- $told = append $told (printf "images.%s: has a tag and a digest: give one of them" $name) -}}
{{- end -}}
{{- end -}}
{{- range $list, $key := dict "stores" "prefix" "queues" "url" -}}
{{- $seen := dict -}}
{{- range $index, $place := index $values $list -}}
{{- $path := printf "%s[%d]" $list $index -}}
{{- $name := index $place $key | trimSuffix "/" -}}
{{- with index $seen $name -}}
{{- $told = append $told (printf "%s.%s: %s stands in %s already: leave one of them out" $path $key (index $place $key) .) -}}
{{- end -}}
{{- $_ := set $seen $name $path -}}
{{- range $namespace := $place.namespaces -}}
{{- if and $values.namespaces (ne $namespace "*") (not (has $namespace $values.namespaces)) -}}
{{- $told = append $told (printf "%s.namespaces: %s is none of `namespaces`, so that the operator would never look at it: add it there or leave it out here" $path $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $seen := include "fineline.seenThroughAnother" . | fromJsonArray -}}
{{- $told = append $told $seen -}}
{{- end -}}
{{- range $name := list "results" "datasets" -}}
{{- with index $values $name -}}
{{- if ne (include "fineline.hasStore" (list . $values.stores)) "yes" -}}
{{- $told = append $told (printf "%s: %s is under the prefix of none of `stores`, so that everything would be refused: add its store" $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $values.webhook -}}
{{- if and .enabled (not .tokenSecretName) -}}
{{- $told = append $told "webhook.tokenSecretName: is needed where webhook.enabled: the name of a Secret with the token that senders must give (docs/events.md)" -}}
{{- end -}}
{{- if and .enabled (eq (int .port) 8080) -}}
{{- $told = append $told "webhook.port: 8080 is the port of /healthz and /metrics: take another one" -}}
{{- end -}}
{{- if and .ingress.enabled (not .enabled) -}}
{{- $told = append $told "webhook.ingress.enabled: leads nowhere without webhook.enabled: set both or neither" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.host) -}}
{{- $told = append $told "webhook.ingress.host: is needed where webhook.ingress.enabled: the host name that stores send to" -}}
{{- end -}}
{{- end -}}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) -}}
{{- $told = append $told "serviceAccount.name: is needed where serviceAccount.create is false: the operator can't act as the namespace's default" -}}
{{- end -}}
{{- $accounts := dict -}}
{{- if $values.serviceAccount.create -}}
{{- $_ := set $accounts (printf "%s/%s" .Release.Namespace (include "fineline.serviceAccount" .)) "the operator's own service account" -}}
{{- end -}}
{{- range $index, $workload := $values.workloads -}}
{{- $path := printf "workloads[%d]" $index -}}
{{- $account := printf "%s/%s" .namespace .serviceAccountName -}}
{{- with index $accounts $account -}}
{{- $told = append $told (printf "%s: %s is %s: pods of evaluations need one of their own, once" $path $account .) -}}
{{- end -}}
{{- $_ := set $accounts $account (printf "that of %s" $path) -}}
{{- if eq .serviceAccountName "default" -}}
{{- $told = append $told (printf "%s.serviceAccountName: every namespace has its `default` already, for all of its pods: name another one" $path) -}}
{{- end -}}
{{- if and $values.namespaces (not (has .namespace $values.namespaces)) -}}
{{- $told = append $told (printf "%s.namespace: %s is none of `namespaces`, so that the operator would never look at it: add it there or leave it out here" $path .namespace) -}}
{{- end -}}
{{- end -}}
{{- $variables := dict "POD_NAME" "the chart's own" "POD_NAMESPACE" "the chart's own" -}}
{{- range $index, $variable := $values.extraEnv -}}
{{- $path := printf "extraEnv[%d]" $index -}}
{{- $name := .name | default "" -}}
{{- if not (and $name (kindIs "string" $name)) -}}
{{- $told = append $told (printf "%s.name: is needed, as text" $path) -}}
{{- else -}}
{{- with get $variables $name -}}
{{- $told = append $told (printf "%s: %s is %s: leave it out" $path $name .) -}}
{{- end -}}
{{- $_ := set $variables $name (printf "that of %s" $path) -}}
{{- end -}}
{{- if and .value (has $name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN")) -}}
{{- $told = append $told (printf "%s: %s is a credential, which is never a value: name a Secret in stores[].secretName" $path $name) -}}
{{- else if and (hasKey . "value") (not (kindIs "string" .value)) -}}
{{- $told = append $told (printf "%s.value: of %s must be text: write it in quotes" $path $name) -}}
{{- end -}}
{{- end -}}
{{- $volumes := dict "settings" "the chart's own" "temporary" "the chart's own" "webhook" "the chart's own" -}}
{{- $mounts := dict "/tmp" "the chart's own" "/etc/fineline/operator" "the chart's own" "/etc/fineline/webhook" "the chart's own" -}}
{{- range $index, $secret := include "fineline.secrets" . | fromJsonArray -}}
{{- $_ := set $volumes (printf "credentials-%d" $index) "the chart's own" -}}
{{- $_ := set $mounts (include "fineline.credentials" $secret) "the chart's own" -}}
{{- end -}}
{{- range $list, $key := dict "extraVolumes" "name" "extraVolumeMounts" "mountPath" -}}
{{- $taken := ternary $volumes $mounts (eq $key "name") -}}
{{- range $index, $one := index $values $list -}}
{{- $path := printf "%s[%d].%s" $list $index $key -}}
{{- $place := get $one $key | default "" -}}
{{- if not (and $place (kindIs "string" $place)) -}}
{{- $told = append $told (printf "%s: is needed, as text" $path) -}}
{{- else -}}
{{- $plain := $place | trimSuffix "/" | default "/" -}}
{{- with get $taken $plain -}}
{{- $told = append $told (printf "%s: %s is %s: choose another" $path $place .) -}}
{{- end -}}
{{- $_ := set $taken $plain (printf "that of %s[%d]" $list $index) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $index, $mount := $values.extraVolumeMounts -}}
{{- $name := .name | default "" | toString -}}
{{- if not (hasKey $volumes $name) -}}
{{- $told = append $told (printf "extraVolumeMounts[%d].name: %s is none of extraVolumes: add it there" $index ($name | default "\"\"")) -}}
{{- end -}}
{{- end -}}
{{- toJson $told -}}
{{- end }}

{{- /* "yes" where a URI is under the prefix of a store, at a `/`. Takes (list uri stores). */}}
{{- define "fineline.hasStore" -}}
{{- $uri := printf "%s/" (index . 0 | trimSuffix "/") -}}
{{- $found := "" -}}
{{- range index . 1 -}}
{{- if hasPrefix (printf "%s/" (.prefix | trimSuffix "/")) $uri }}{{ $found = "yes" }}{{ end -}}
{{- end -}}
{{- $found -}}
{{- end }}

{{- /*
Which stores namespaces would see through the store that they lie under, though they are not for them: as the operator's
settings have it. A list in JSON.
*/}}
{{- define "fineline.seenThroughAnother" -}}
{{- $told := list -}}
{{- $all := .Values.namespaces | default (list "*") -}}
{{- $stores := .Values.stores -}}
{{- range $below, $narrow := $stores -}}
{{- $allowed := $narrow.namespaces | default (list "*") -}}
{{- range $above, $wide := $stores -}}
{{- if and (ne $below $above) (eq (include "fineline.hasStore" (list $narrow.prefix (list $wide))) "yes") (not (has "*" $allowed)) -}}
{{- $seeing := $wide.namespaces | default (list "*") -}}
{{- if has "*" $seeing }}{{ $seeing = $all }}{{ end -}}
{{- $others := list -}}
{{- range $seeing }}{{ if not (has . $allowed) }}{{ $others = append $others . }}{{ end }}{{ end -}}
{{- if $others -}}
{{- $who := ternary "all namespaces" (join ", " $others) (has "*" $others) -}}
{{- $told = append $told (printf "stores[%d].namespaces: %s lies under stores[%d], %s, which is for %s: these would see it all the same. Give both the same namespaces, or it a place of its own" $below $narrow.prefix $above $wide.prefix $who) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $told -}}
{{- end }}
