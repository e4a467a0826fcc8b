package emulator

// declareMetadata declares the tables that describe tables.
func (set *schemaSet) declareMetadata() {
	set.declare("sys_db_object", "Table", "", "label", `
		name string(80) Name
		label string(80) Label
		super_class reference:sys_db_object Extends table
		is_extendable boolean Extensible
		ws_access boolean Allow access to this table via web services
		read_access boolean Can read
		create_access boolean Can create
		access string(40) Accessible from
		extension_model string(40) Extension model
		number_ref reference:sys_number Auto number
		user_role string(40) User role
		sys_scope reference:sys_scope Application
	`+systemColumns, "name")
	set.declare("sys_dictionary", "Dictionary Entry", "", "element", `
		name table_name(80) Table
		element string(80) Column name
		internal_type reference:sys_glide_object.name Type
		column_label string(80) Column label
		max_length integer Max length
		reference reference:sys_db_object.name Reference
		reference_key string(40) Reference key
		mandatory boolean Mandatory
		active boolean Active
		virtual boolean Calculated
		array boolean Array
		display boolean Display
		primary boolean Primary
		read_only boolean Read only
		unique boolean Unique
		choice integer+choice Choice
		choice_table string(80) Choice table
		choice_field string(80) Choice field
		dependent string(80) Dependent
		dependent_on_field string(80) Dependent on field
		default_value string(512) Default value
		attributes string(1000) Attributes
		comments string(4000) Comments
		audit boolean Audit
		text_index boolean Text index
		sys_class_name sys_class_name(80) Class
	`+systemColumns, "name")
	set.declare("sys_dictionary_override", "Dictionary Entry Override", "", "element", `
		name table_name(80) Table
		base_table table_name(80) Base table
		element string(80) Column name
		mandatory boolean Mandatory
		mandatory_override boolean Override mandatory
		default_value string(512) Default value
		default_value_override boolean Override default value
	`+systemColumns)
	set.declare("sys_choice", "Choice", "", "label", `
		name table_name(80) Table
		element string(80) Element
		value string(100) Value
		label string(100) Label
		language string(3) Language
		sequence integer Sequence
		inactive boolean Inactive
		dependent_value string(40) Dependent value
		hint string(255) Hint
	`+systemColumns, "name")
	set.declare("sys_documentation", "Field Label", "", "label", `
		name table_name(80) Table
		element string(80) Element
		label string(80) Label
		plural string(80) Plural
		language string(3) Language
		hint string(255) Hint
		help string(4000) Help
		url url(1024) URL
	`+systemColumns, "name")
	set.declare("sys_glide_object", "Field class", "", "label", `
		name string(40) Name
		label string(80) Label
		scalar_type string(40) Extends
		scalar_length integer Length
		class_name string(100) Class name
		visible boolean Visible
	`+systemColumns, "name")
}

// declareLayout declares the tables that describe forms.
func (set *schemaSet) declareLayout() {
	set.declare("sys_ui_view", "View", "", "title", `
		name string(80) Name
		title string(80) Title
	`+systemColumns)
	set.declare("sys_ui_form", "Form", "", "name", `
		name table_name(80) Table
		view reference:sys_ui_view View
		sys_user string(40) User
		roles string(255) Roles
	`+systemColumns)
	set.declare("sys_ui_form_section", "Form Section", "", "position", `
		sys_ui_form reference:sys_ui_form UI Form
		sys_ui_section reference:sys_ui_section UI Section
		position integer Position
	`+systemColumns)
	set.declare("sys_ui_section", "Form Section", "", "caption", `
		name table_name(80) Table
		view reference:sys_ui_view View
		caption string(80) Caption
		header boolean Header
		title boolean Title
		sys_domain domain_id:sys_user_group Domain
		sys_user string(40) User
		roles string(255) Roles
		view_name string(80) View name
	`+systemColumns)
	set.declare("sys_ui_element", "Form Element", "", "element", `
		sys_ui_section reference:sys_ui_section UI section
		element string(80) Element
		position integer Position
		type string(80) Type
		sys_ui_formatter reference:sys_ui_formatter Formatter
		sys_user string(40) User
	`+systemColumns)
}
