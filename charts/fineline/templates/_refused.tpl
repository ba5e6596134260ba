{{- /*
What values.schema.json can't say: values that make no sense together. Each comes with its path, what is wrong with it and
what to do; all are told at once. A list in JSON, empty where all is well.
*/ -}}

{{- define "fineline.refused" -}}
{{- $values := .Values -}}
{{- $told := list -}}
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
{{- if and $values.namespaces (not (has .namespace $values.namespaces)) -}}
{{- $told = append $told (printf "%s.namespace: %s is none of `namespaces`, so that the operator would never look at it: add it there or leave it out here" $path .namespace) -}}
{{- end -}}
{{- end -}}
{{- range $index, $variable := $values.extraEnv -}}
{{- if and .value (has .name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN")) -}}
{{- $told = append $told (printf "extraEnv[%d]: %s is a credential, which is never a value: name a Secret in stores[].secretName" $index .name) -}}
{{- end -}}
{{- if has .name (list "POD_NAME" "POD_NAMESPACE") -}}
{{- $told = append $told (printf "extraEnv[%d]: %s is the chart's own: leave it out" $index .name) -}}
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
