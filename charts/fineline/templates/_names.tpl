{{- /* Names and labels: Kubernetes' recommended ones. */ -}}

{{- /* The start of all names: the release's, with `fineline` in it. */}}
{{- define "fineline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 31 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end }}

{{- /* The Deployment's name, and of what goes with it; the Lease's too. */}}
{{- define "fineline.operator" -}}
{{ include "fineline.fullname" . }}-operator
{{- end }}

{{- define "fineline.webhook" -}}
{{ include "fineline.fullname" . }}-webhook
{{- end }}

{{- define "fineline.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "fineline.operator" .) }}
{{- end }}

{{- /* By which the operator's pods are found; they never change. */}}
{{- define "fineline.selector" -}}
app.kubernetes.io/name: fineline-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "fineline.labels" -}}
{{ include "fineline.selector" . }}
{{ include "fineline.commonLabels" . }}
{{- end }}

{{- define "fineline.commonLabels" -}}
{{- $own := dict
  "app.kubernetes.io/part-of" "fineline"
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
-}}
{{- include "fineline.peoplesLabels" . | fromYaml | merge $own | toYaml -}}
{{- end }}

{{- /* Those of the values, which never replace what objects are found by. */}}
{{- define "fineline.peoplesLabels" -}}
{{- $found := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- range $name, $value := .Values.commonLabels -}}
{{- if not (has $name $found) }}
{{ $name | quote }}: {{ $value | quote }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The pod of `helm test`, whom the NetworkPolicy lets in. */}}
{{- define "fineline.testSelector" -}}
app.kubernetes.io/name: fineline-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* An image's whole name. Takes (list . .Values.images.operator). */}}
{{- define "fineline.image" -}}
{{- $chart := (index . 0).Chart -}}
{{- with index . 1 -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}
