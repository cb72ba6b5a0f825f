{{/* The same on every object. Not on selectors: those are Velero's and never change. */}}
{{- define "windlass.labels" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* (dict "image" values "appVersion" text) */}}
{{- define "windlass.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .appVersion .image.tag }}
{{- end -}}
{{- end }}

{{- define "windlass.agentConfigMap" -}}
{{- if .Values.agent.existingConfigMap -}}
{{- if .Values.agent.config -}}
{{- fail "agent.config and agent.existingConfigMap are both set: the node agents read one ConfigMap" -}}
{{- end -}}
{{ .Values.agent.existingConfigMap }}
{{- else if .Values.agent.config -}}
windlass-node-agent-config
{{- end -}}
{{- end }}

{{/* The same for all who open repositories. */}}
{{- define "windlass.passwordArgs" -}}
{{- if .Values.repositoryPasswords.perNamespace -}}
{{- if not .Values.controller.enabled -}}
{{- fail "repositoryPasswords.perNamespace without controller.enabled: the Velero server would make every repository with the one password that it knows" -}}
{{- end -}}
- --per-namespace-repository-passwords
{{- end -}}
{{- end }}

{{/* What no container of the chart may do. */}}
{{- define "windlass.confined" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
seccompProfile:
  type: RuntimeDefault
{{- end }}
