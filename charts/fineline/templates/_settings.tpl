{{- /*
The operator's settings as its file has them (docs/reference/operator-settings.md): what the values leave out is left out,
so that the operator's own defaults hold.
*/ -}}

{{- define "fineline.settings" -}}
{{- $values := .Values -}}
{{- $settings := dict
  "maxActive" (int $values.maxActive)
  "resyncSeconds" $values.resyncSeconds
  "progressSeconds" $values.progressSeconds
  "troubleSeconds" $values.troubleSeconds
  "lease" (dict "name" (include "fineline.operator" .) "namespace" .Release.Namespace "seconds" (int $values.lease.seconds))
-}}
{{- range $name := list "namespaces" "results" "datasets" -}}
{{- with index $values $name }}{{ $_ := set $settings $name . }}{{ end -}}
{{- end -}}
{{- with $values.stores }}{{ $_ := set $settings "stores" (include "fineline.places" . | fromYamlArray) }}{{ end -}}
{{- with $values.queues }}{{ $_ := set $settings "queues" (include "fineline.places" . | fromYamlArray) }}{{ end -}}
{{- $evaluator := include "fineline.program" (list . $values.evaluator $values.images.evaluator) | fromYaml -}}
{{- $_ := set $evaluator "gpuResource" ($values.evaluator.gpuResource | default "") -}}
{{- $_ := set $settings "evaluator" $evaluator -}}
{{- if $values.analysis.enabled -}}
{{- $_ := set $settings "analysis" (include "fineline.program" (list . $values.analysis $values.images.analysis) | fromYaml) -}}
{{- end -}}
{{- with $values.webhook -}}
{{- if .enabled -}}
{{- $tokenFile := printf "/etc/fineline/webhook/%s" .tokenSecretKey -}}
{{- $_ := set $settings "webhook" (dict "port" (int .port) "tokenFile" $tokenFile "perSecond" (int .perSecond)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end }}

{{- /* Stores or queues, with the folders that their Secrets are mounted at. */}}
{{- define "fineline.places" -}}
{{- $places := list -}}
{{- range . -}}
{{- $place := dict -}}
{{- range $name, $value := omit . "secretName" -}}
{{- with $value }}{{ $_ := set $place $name . }}{{ end -}}
{{- end -}}
{{- with .secretName }}{{ $_ := set $place "credentials" (include "fineline.credentials" .) }}{{ end -}}
{{- $places = append $places $place -}}
{{- end -}}
{{- toYaml $places -}}
{{- end }}

{{- /* What the pods of evaluations or of analyses have in common. */}}
{{- define "fineline.program" -}}
{{- $values := index . 1 -}}
{{- $image := index . 2 -}}
{{- $program := dict "image" (include "fineline.image" (list (index . 0) $image)) "imagePullPolicy" $image.pullPolicy -}}
{{- with $values.command }}{{ $_ := set $program "command" . }}{{ end -}}
{{- with $values.template }}{{ $_ := set $program "template" . }}{{ end -}}
{{- toYaml $program -}}
{{- end }}

{{- /* The folder that a Secret with the operator's own keys is mounted at. */}}
{{- define "fineline.credentials" -}}
/etc/fineline/credentials/{{ . }}
{{- end }}

{{- /* The names of the Secrets of stores and queues, each once, as a list in JSON. */}}
{{- define "fineline.secrets" -}}
{{- $names := list -}}
{{- range concat (.Values.stores | default list) (.Values.queues | default list) -}}
{{- with .secretName }}{{ $names = append $names . }}{{ end -}}
{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}
