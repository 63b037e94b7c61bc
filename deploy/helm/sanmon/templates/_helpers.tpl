{{/* Labels of every object. The name alone selects pods: it never changes. */}}
{{- define "sanmon.labels" -}}
app.kubernetes.io/name: sanmon
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Who the agents are. */}}
{{- define "sanmon.subject" -}}
- {kind: ServiceAccount, name: sanmon, namespace: {{ .Release.Namespace }}}
{{- end }}
